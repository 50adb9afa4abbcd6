import sys,pickle,collections
sys.path[:0]=['/tmp/w4','/tmp/lgbpkg']
import numpy as np
from pipelines.extract.page.forest import chosen
r=pickle.load(open('/tmp/all_default.pkl','rb')); base=pickle.load(open('/tmp/base.pkl','rb'))
g=collections.defaultdict(list)
def bf(e,keep):
    w=e.count; s=np.maximum(e.share,0); tp=(w*s*keep).sum(); return 2*tp/max(1,(w*keep).sum()+(w*s).sum())
for e,q,q2,a,b in r:
    if e.gold.text is None: continue
    o=np.argsort(-q2,kind='stable'); w=e.count[o]; s=e.share[o]
    f=2*np.cumsum(w*s)/np.maximum(1,np.cumsum(w)+(w*s).sum()); 
    k=chosen(q2,e.count); t=bf(e,k)
    fixed=bf(e,q2>0.5); f4=bf(e,q2>0.4); f3=bf(e,q2>.3)
    key=e.gold.set+' '+e.gold.kind
    P=(e.count*e.share*k).sum()/max(1,(e.count*k).sum()); R=(e.count*e.share*k).sum()/max(1,(e.count*e.share).sum())
    g[key].append((t,f.max(),fixed,f4,f3,P,R,b,base[e.gold.set,e.gold.id][1][1]))
print('blockF1 chosen / oracle thr / p>.5 / .4 / .3 / P / R / real f1 / traf')
for k in sorted(g): print(f'{k:28}',len(g[k]),np.mean(g[k],0).round(3))
print()
rows=[]
for e,q,q2,a,b in r:
    if e.gold.set!='magic_article': continue
    k=chosen(q2,e.count); rows.append((b,e,q2,k))
rows.sort(key=lambda x:x[0])
for b,e,q2,k in rows[:9]:
    w=e.count
    print('==',e.gold.id,e.gold.url[:90],'F1',round(b,3),'traf',round(base[e.gold.set,e.gold.id][1][1],3),'gold',round((w*e.share).sum()),'chosen',w[k].sum(),'common',round((w*k*e.share).sum()))
    wrong=[(int(w[j]),round(float(q2[j]),2),round(float(e.share[j]),2),bool(k[j]),e.text(np.arange(len(w))==j)[:60]) for j in np.argsort(-w*np.abs(k-e.share))[:6]]
    for x in wrong: print('   ',x)
