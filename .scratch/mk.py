import sys,time,pickle
sys.path[:0]=['/tmp/w4','/tmp/lgbpkg']
from pathlib import Path
import numpy as np
from pipelines.extract.learn import train as T
from pipelines.extract.learn.dataset import examples, folds, looked_at, tables
from pipelines.extract.learn.gold import pages
G=Path('/work/shared/data/html_gold')
ex=examples(pages(G)); stops=T.stop_words(Path('/work/shared/data/lists/justext_stoplists.json.gz'))
pickle.dump(ex,open('/tmp/ex.pkl','wb'))
fold=folds(ex,5,1)
for k in range(5):
    tr=[e for e,f in zip(ex,fold) if f!=k]; te=[e for e,f in zip(ex,fold) if f==k]
    inner=folds(tr,5,0)
    wo=[tables([e for e,f in zip(tr,inner) if f!=j],stops) for j in range(5)]
    vtr=looked_at(tr,lambda i: wo[inner[i]])
    full=tables(tr,stops)
    vte=looked_at(te,lambda i: full)
    pickle.dump((inner,vtr,vte),open(f'/tmp/f{k}.pkl','wb')); print(k,time.strftime('%T'),flush=True)
