import sys,pickle,collections
sys.path[:0]=['/tmp/w4','/tmp/lgbpkg']
import numpy as np
from pipelines.extract.page.forest import chosen
r=pickle.load(open(sys.argv[1] if len(sys.argv)>1 else '/tmp/all_default.pkl','rb')); base=pickle.load(open('/tmp/base.pkl','rb'))
def bf(e,keep):
    w=e.count; s=np.maximum(e.share,0); tp=(w*s*keep).sum(); return 2*tp/max(1,(w*keep).sum()+(w*s).sum())
U=(np.arange(40)+.5)/40
def como(p,w,mix=1.0,shift=0.0):
    o=np.argsort(-p,kind='stable'); W=np.concatenate([[0],np.cumsum(w[o])]).astype(float); ps=p[o]
    n=np.searchsorted(-ps,-U,side='left')  # blocks with p>u
    T=W[n]  # gold words in scenario
    k=np.arange(len(W))
    f=(2*np.minimum(W[:,None],T[None,:])/np.maximum(1,W[:,None]+T[None,:])).mean(1)
    if mix<1:
        M=np.concatenate([[0],np.cumsum((p*w)[o])]); ind=2*M/np.maximum(1,W+M[-1]); f=mix*f+(1-mix)*ind
    c=len(f)-1-np.argmax(f[::-1]); keep=np.zeros(len(p),bool); keep[o[:c]]=True; return keep
from pipelines.extract.learn.gold import f1
sel={'chosen':lambda p,w:chosen(p,w),'como':lambda p,w:como(p,w),'mix.5':lambda p,w:como(p,w,.5),'mix.75':lambda p,w:como(p,w,.75),'.5':lambda p,w:p>.5}
g=collections.defaultdict(list)
for e,q,q2,a,b in r:
    row=[]
    for n,f in sel.items():
        k=f(q2,e.count); row.append(f1(e.gold,e.text(k)))
    row.append(base[e.gold.set,e.gold.id][1][1])
    g[e.gold.set].append(row)
    if e.gold.set=='wcxb_dev': g['wcxb '+e.gold.kind].append(row)
print(list(sel),'traf')
for k in sorted(g): print(f'{k:24}',len(g[k]),np.mean(g[k],0).round(4))
m=np.mean([np.mean(g[s],0) for s in ('wcxb_dev','magic_article','trafilatura_a','readability')],0); print('sets',m.round(4),(m-m[-1]).round(4))
m=np.concatenate([g[s] for s in ('wcxb_dev','magic_article','trafilatura_a','readability')]).mean(0); print('pages',m.round(4),(m-m[-1]).round(4))
