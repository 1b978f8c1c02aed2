package zstream
import ("testing";"os";"context";"fmt")
func TestZZ(t *testing.T){
 f,_:=os.Open(os.Getenv("ZZ")); if f==nil {t.Skip()}
 os.RemoveAll(os.Getenv("ZZOUT")); os.MkdirAll(os.Getenv("ZZOUT"),0755)
 r,_:=os.OpenRoot(os.Getenv("ZZOUT"))
 s,err:=Extract(context.Background(),f,r,Options{Warn:func(w string){fmt.Println(w)}})
 if err!=nil {fmt.Println(err)} else {fmt.Printf("%+v\n",*s)}
}
