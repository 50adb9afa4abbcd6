import sys,time,json,pickle,logging
sys.path[:0]=['/tmp/w4']
logging.disable(logging.CRITICAL)
from pathlib import Path
import numpy as np, collections
import trafilatura
from pipelines.extract.learn.gold import pages,f1
G=Path('/work/shared/data/html_gold')
out={}
T=collections.Counter()
for p in pages(G):
    r=[]
    for kw in ({},{'include_comments':False}):
        t=time.process_time()
        try: x=trafilatura.extract(p.html,url=p.url,**kw) or ''
        except Exception: x=''
        T[str(kw)]+=time.process_time()-t
        r.append(f1(p,x))
    out[p.set,p.id]=(p.kind,r)
pickle.dump(out,open('/tmp/base.pkl','wb'))
g=collections.defaultdict(list)
for (s,i),(k,r) in out.items():
    g[s].append(r)
    if s=='wcxb_dev': g['wcxb '+k].append(r)
for k in sorted(g): print(k,len(g[k]),np.mean(g[k],0).round(4))
print({k:len(out)/v for k,v in T.items()})
