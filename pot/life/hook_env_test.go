package life

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestAliasEnvironment(t *testing.T) {
	leak.Check(t)
	must.Eq(t, []string{
		"_POT_IP=10.0.0.1", "_POT_IP_0=10.0.0.1", "_POT_NIC_0=em1", "_POT_IP_1=10.0.0.2", "_POT_NIC_1=em0",
		"_POT_IP_2=fd00::1", "_POT_NIC_2=em0", "_POT_IP_LIST=_POT_IP_0 _POT_IP_1 _POT_IP_2", "_POT_NIC_LIST=_POT_NIC_0 _POT_NIC_1 _POT_NIC_2",
	}, aliasEnvironment("em0|fd00::1 em1|10.0.0.1 em0|10.0.0.2 garbage"))
	must.Eq(t, []string{"_POT_IP_LIST=", "_POT_NIC_LIST="}, aliasEnvironment(""))
}
