// A server on the reference Go server library, the newest release: the peer of our client library.
module opamp.test/interop/go-server

go 1.25.0

require (
	github.com/open-telemetry/opamp-go v0.23.0
	google.golang.org/protobuf v1.36.11
)

require github.com/gorilla/websocket v1.5.3 // indirect
