import sys,time,pickle,os
sys.path[:0]=['/tmp/w4','/tmp/lgbpkg']
import numpy as np, collections, lightgbm as lgb
from pipelines.extract.learn import train as T
from pipelines.extract.learn.dataset import folds
from pipelines.extract.learn.gold import f1
from pipelines.extract.page.forest import chosen,forest,probabilities
from pipelines.extract.page.features import second
ex=pickle.load(open('/tmp/ex.pkl','rb')); base=pickle.load(open('/tmp/base.pkl','rb'))
fold=folds(ex,5,1)
NT=int(os.environ.get('NT','1'))
def fit(X,y,w,params,rounds,seed=0):
    d=lgb.Dataset(X,y,weight=w,params={'max_bin':params.get('max_bin',127),'verbosity':-1})
    m=lgb.train({**T.SETTINGS,**params,'seed':seed,'num_threads':NT},d,rounds)
    return m
def weights(e,mode='words'):
    k=e.share>=0
    c=e.count
    w=np.where(k,(c+4.0) if mode=='words' else np.sqrt(c+1.0) if mode=='sqrt' else c+1.0,0.0)
    return w/max(1,w.sum())*100
def run(k,p1={},r1=150,p2={},r2=200,mode='words',stage2=True,sel=None,feat=None):
    tr=[e for e,f in zip(ex,fold) if f!=k]; te=[e for e,f in zip(ex,fold) if f==k]
    inner,vtr,vte=pickle.load(open(f'/tmp/f{k}.pkl','rb'))
    X=np.concatenate([v.features for v in vtr]); y=np.concatenate([e.share for e in tr]); w=np.concatenate([weights(e,mode) for e in tr])
    of=np.concatenate([np.full(len(e.share),i) for e,i in zip(tr,inner)]); kn=y>=0
    p=np.zeros(len(X),np.float32)
    for j in range(5):
        m=fit(X[kn&(of!=j)],y[kn&(of!=j)],w[kn&(of!=j)],p1,r1); p[of==j]=m.predict(X[of==j],num_threads=NT)
    m1=fit(X[kn],y[kn],w[kn],p1,r1)
    b=np.cumsum([0,*(len(e.share) for e in tr)])
    B=np.concatenate([second(v,p[l:h]) for v,l,h in zip(vtr,b[:-1],b[1:])])
    m2=fit(B[kn],y[kn],w[kn],p2,r2)
    res=[]
    for e,v in zip(te,vte):
        q=m1.predict(v.features,num_threads=NT).astype(np.float32)
        q2=m2.predict(second(v,q),num_threads=NT).astype(np.float32)
        res.append((e,q,q2,f1(e.gold,e.text(chosen(q,e.count))),f1(e.gold,e.text((sel or chosen)(q2,e.count)))))
    return res,m1,m2
def table(res):
    g=collections.defaultdict(list)
    for e,q,q2,a,b in res:
        r=base[e.gold.set,e.gold.id][1]
        row=(a,b,r[1])
        g[e.gold.set].append(row)
        if e.gold.set=='wcxb_dev': g['wcxb '+e.gold.kind].append(row)
    for s in sorted(g):
        m=np.mean(g[s],0); print(f'{s:22} {len(g[s]):4} stage1 {m[0]:.4f} stage2 {m[1]:.4f} trafilatura {m[2]:.4f} gain {m[1]-m[2]:+.4f}')
    ms=np.array([np.mean(g[s],0) for s in ('wcxb_dev','magic_article','trafilatura_a','readability')]); mm=ms.mean(0)
    al=np.concatenate([g[s] for s in ('wcxb_dev','magic_article','trafilatura_a','readability')]).mean(0)
    print('mean of sets',mm.round(4),'gain',round(mm[1]-mm[2],4),'all pages gain',round(al[1]-al[2],4),'stage1 gain',round(mm[0]-mm[2],4),flush=True)
if __name__=='__main__':
    t=time.time(); r,m1,m2=run(0); table(r); print(time.time()-t)
    pickle.dump(r,open('/tmp/r0.pkl','wb'))
    from pipelines.extract.page.features import FIRST,SECOND
    im=m2.feature_importance('gain'); n=[*FIRST,*SECOND]
    print([(n[i],round(im[i]/im.sum(),3)) for i in np.argsort(-im)[:25]])
    im=m1.feature_importance('gain')
    print([(n[i],round(im[i]/im.sum(),3)) for i in np.argsort(-im)[:25]])
