package xdp
import ("testing";"time";"log/slog";"os")
func TestZZTime(t *testing.T){
 dir:="/sys/fs/bpf/zz-"+time.Now().Format("150405")
 for i:=0;i<2;i++{
 t0:=time.Now()
 d,err:=Open(Spec{PinDir:dir,Log:slog.New(slog.NewTextHandler(os.Stderr,nil))})
 if err!=nil{t.Fatal(err)}
 t1:=time.Now()
 _,err=d.obj.program(TC)
 if err!=nil{t.Fatal(err)}
 t2:=time.Now()
 _,err=d.obj.program(Native)
 t3:=time.Now()
 t.Log(t1.Sub(t0),t2.Sub(t1),t3.Sub(t2),err)
 if i==0 {d.Close()} else {d.Remove()}
 t.Log("end",time.Since(t3))
 }
}
