exec(open('/tmp/exp.py').read().split("if __name__")[0])
def run3(k,p1={},r1=150,p2={},r2=200,p3={},r3=200,mode='words',seeds=1,drop=()):
    tr=[e for e,f in zip(ex,fold) if f!=k]; te=[e for e,f in zip(ex,fold) if f==k]
    inner,vtr,vte=pickle.load(open(f'/tmp/f{k}.pkl','rb'))
    X=np.concatenate([v.features for v in vtr]); y=np.concatenate([e.share for e in tr]); w=np.concatenate([weights(e,mode) for e in tr])
    of=np.concatenate([np.full(len(e.share),i) for e,i in zip(tr,inner)]); kn=y>=0
    b=np.cumsum([0,*(len(e.share) for e in tr)])
    def ctx(p): return np.concatenate([second(v,p[l:h]) for v,l,h in zip(vtr,b[:-1],b[1:])])
    def oof(M,pp,rr):
        p=np.zeros(len(M),np.float32)
        for j in range(5):
            m=fit(M[kn&(of!=j)],y[kn&(of!=j)],w[kn&(of!=j)],pp,rr); p[of==j]=m.predict(M[of==j],num_threads=NT)
        return p,fit(M[kn],y[kn],w[kn],pp,rr)
    p,m1=oof(X,p1,r1); B=ctx(p); p_2,m2=oof(B,p2,r2); C=ctx(p_2); m3=fit(C[kn],y[kn],w[kn],p3,r3)
    res=[]
    for e,v in zip(te,vte):
        q=m1.predict(v.features,num_threads=NT).astype(np.float32)
        q2=m2.predict(second(v,q),num_threads=NT).astype(np.float32)
        q3=m3.predict(second(v,q2),num_threads=NT).astype(np.float32)
        res.append((e,q2,q3,f1(e.gold,e.text(chosen(q2,e.count))),f1(e.gold,e.text(chosen(q3,e.count)))))
    return res
tot=[]
for k in (0,1):
    t=time.time(); r=run3(k); tot+=r; print(k,time.time()-t); table(r)
pickle.dump(tot,open('/tmp/all_stage3.pkl','wb')); table(tot)
