src=open('/tmp/an3.py').read()
exec(open('/tmp/exp.py').read().split("if __name__")[0])
exec(src[src.index("U=("):src.index("from pipelines.extract.learn.gold import f1\nsel")])
D={}
for k in (0,1,2):
    tr=[e for e,f in zip(ex,fold) if f!=k]; te=[e for e,f in zip(ex,fold) if f==k]
    inner,vtr,vte=pickle.load(open(f'/tmp/f{k}.pkl','rb'))
    D[k]=(tr,te,np.concatenate([v.features for v in vtr]),np.concatenate([e.share for e in tr]),vte)
def s1(name,p,r,mode='words'):
    g=collections.defaultdict(list); t=time.time()
    for k in D:
        tr,te,X,y,vte=D[k]; w=np.concatenate([weights(e,mode) for e in tr]); kn=y>=0
        m=fit(X[kn],y[kn],w[kn],p,r)
        for e,v in zip(te,vte):
            q=m.predict(v.features,num_threads=NT).astype(np.float32)
            g[e.gold.set].append((f1(e.gold,e.text(como(q,e.count,.75))),base[e.gold.set,e.gold.id][1][1]))
    S=('wcxb_dev','magic_article','trafilatura_a','readability')
    a=[np.mean(g[s],0) for s in S]; al=np.concatenate([g[s] for s in S]).mean(0)
    print(f'{name:34}',[round(float(x[0]),4) for x in a],'sets gain',round(float(np.mean([x[0]-x[1] for x in a])),4),'pages',round(float(al[0]-al[1]),4),round(time.time()-t),flush=True)
s1('default',{},150)
s1('seed',{'seed':5,'bagging_seed':7,'feature_fraction_seed':9},150)
s1('extra_trees 300',{'extra_trees':True},300)
s1('ff.2 leaves16 r250',{'feature_fraction':.2,'num_leaves':16},250)
s1('min_data 300',{'min_data_in_leaf':300,'lambda_l2':20},200)
s1('sqrt weights',{},150,'sqrt')
s1('leaves 48',{'num_leaves':48,'feature_fraction':.3},150)
s1('lr.03 r400',{'learning_rate':.03,'feature_fraction':.3},400)
