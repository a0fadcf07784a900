module github.com/metalpool/metalpool/tools/docker-machine

go 1.26.0

// docker-machine predates Go modules, so nothing but this file pins what it was
// built with: the revisions of its Gopkg.lock, the release of docker/docker next
// to the revision named there, and golang.org/x/* as today's Go needs them.
require (
	github.com/codegangsta/cli v1.11.1-0.20151120215642-0302d3914d2a
	github.com/docker/machine v0.16.2
)

require (
	github.com/bugsnag/bugsnag-go v1.0.6-0.20151120182711-02e952891c52 // indirect
	github.com/bugsnag/osext v0.0.0-20130617224835-0dd3f918b21b // indirect
	github.com/bugsnag/panicwrap v0.0.0-20160118154447-aceac81c6e2f // indirect
	github.com/docker/docker v1.13.1 // indirect
	github.com/docker/go-units v0.2.1-0.20151230175859-0bbddae09c5a // indirect
	github.com/samalba/dockerclient v0.0.0-20151231000007-f661dd4754aa // indirect
	github.com/skarademir/naturalsort v0.0.0-20150715044055-69a5d87bef62 // indirect
	golang.org/x/crypto v0.14.0 // indirect
	golang.org/x/net v0.17.0 // indirect
	golang.org/x/sys v0.13.0 // indirect
	golang.org/x/term v0.13.0 // indirect
)
