package cli

// A Variable is an environment variable that commands read.
type Variable struct {
	Name, Text string
	Flag       string // commands with this flag read it
	Command    string // this command reads it
}

// Variables are all environment variables that the commands read, for the manual.
var Variables = []Variable{
	{Name: configVariable, Text: "default of --config", Flag: "config"},
	{Name: dirVariable, Text: "default of --dir", Flag: "dir"},
	{Name: supervisorVariable, Text: "default of --supervisor", Flag: "supervisor"},
	{Name: "POT_PUSH_HEADER", Text: "header with credentials for the server, as in \"Name: value\"", Command: "pot image push"},
	{Name: "POT_PUSH_TOKEN", Text: "bearer token for the server", Command: "pot image push"},
	{Name: "POT_PUSH_USERNAME", Text: "user name for the server", Command: "pot image push"},
	{Name: "POT_PUSH_PASSWORD", Text: "password for the server", Command: "pot image push"},
	{Name: "SOURCE_DATE_EPOCH", Text: "time of a reproducible image, in seconds since 1970", Command: "pot image build"},
	{Name: "TERM", Text: "passed to a command with a terminal", Command: "pot exec"},
}
