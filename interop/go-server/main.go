// A server on the reference Go server library. It tells by JSON lines on standard output what its agents said, as the
// library read it, and is told by JSON lines on standard input what to send, so that a case drives and asserts on the
// peer's view.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/open-telemetry/opamp-go/protobufs"
	"github.com/open-telemetry/opamp-go/server"
	"github.com/open-telemetry/opamp-go/server/types"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// What the server can do: all of it.
const capabilities = 0x7f

// The server's one custom capability.
const custom = "io.opentelemetry.test/1"

// What a line of standard input asks for. Which fields count depends on `Do`.
type order struct {
	Do string `json:"do"`
	// A ServerToAgent in hexadecimal digits.
	Message string            `json:"message"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
}

type fields = map[string]any

type peer struct {
	// Guards what follows and standard output.
	mutex sync.Mutex
	// The agent's WebSocket, the latest.
	socket types.Connection
	// What goes out with the next answer.
	waiting []*protobufs.ServerToAgent
	// Set while connections are refused.
	refusal *order
}

func main() {
	polled := flag.Bool("polled", false, "agents poll: what is sent waits for their next request")
	flag.Parse()
	p := &peer{}
	library := server.New(stderrLogger{})
	must(library.Start(server.StartSettings{
		Settings: server.Settings{
			Callbacks:          types.Callbacks{OnConnecting: p.connecting},
			EnableCompression:  true,
			CustomCapabilities: []string{custom},
		},
		ListenEndpoint: "127.0.0.1:0",
	}))
	p.tell(fields{"event": "listening", "address": library.Addr().String()})

	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var o order
		must(json.Unmarshal(lines.Bytes(), &o))
		must(p.obey(&o, *polled))
	}
	must(library.Stop(context.Background()))
}

func (p *peer) obey(o *order, polled bool) error {
	switch o.Do {
	case "send":
		bytes, err := hex.DecodeString(o.Message)
		if err != nil {
			return err
		}
		message := &protobufs.ServerToAgent{}
		if err := proto.Unmarshal(bytes, message); err != nil {
			return err
		}
		return p.send(message, polled)
	case "refuse":
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.refusal = o
	case "accept":
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.refusal = nil
	case "disconnect":
		p.mutex.Lock()
		defer p.mutex.Unlock()
		return p.socket.Disconnect()
	default:
		return fmt.Errorf("no such order: %s", o.Do)
	}
	return nil
}

// Sends a message at once, or with the next answer where agents poll.
func (p *peer) send(message *protobufs.ServerToAgent, polled bool) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if polled {
		p.waiting = append(p.waiting, message)
		return nil
	}
	return p.socket.Send(context.Background(), message)
}

func (p *peer) connecting(request *http.Request) types.ConnectionResponse {
	p.mutex.Lock()
	refusal := p.refusal
	p.mutex.Unlock()
	if refusal != nil {
		p.tell(fields{"event": "refused"})
		return types.ConnectionResponse{HTTPStatusCode: refusal.Status, HTTPResponseHeader: refusal.Headers}
	}
	p.tell(fields{
		"event": "connecting", "method": request.Method, "uid": request.Header.Get("OpAMP-Instance-UID"),
		"authorization": request.Header.Get("Authorization"), "content_type": request.Header.Get("Content-Type"),
		"content_encoding": request.Header.Get("Content-Encoding"),
	})
	return types.ConnectionResponse{Accept: true, ConnectionCallbacks: types.ConnectionCallbacks{
		OnConnected: func(_ context.Context, connection types.Connection) {
			p.mutex.Lock()
			defer p.mutex.Unlock()
			p.socket = connection
		},
		OnMessage: p.message,
		OnConnectionClose: func(types.Connection) {
			p.tell(fields{"event": "closed"})
		},
		OnReadMessageError: func(_ types.Connection, _ int, _ []byte, err error) {
			p.tell(fields{"event": "read_error", "error": err.Error()})
		},
	}}
}

func (p *peer) message(_ context.Context, _ types.Connection, message *protobufs.AgentToServer) *protobufs.ServerToAgent {
	// Fields that this library does not know are not in it: it is what a server on this library sees.
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	must(err)
	p.tell(fields{"event": "message", "message": json.RawMessage(text)})
	p.mutex.Lock()
	defer p.mutex.Unlock()
	answer := &protobufs.ServerToAgent{}
	if 0 < len(p.waiting) {
		answer, p.waiting = p.waiting[0], p.waiting[1:]
	}
	answer.InstanceUid = message.InstanceUid
	if answer.ErrorResponse == nil {
		answer.Capabilities = capabilities
	}
	return answer
}

func (p *peer) tell(what fields) {
	line, err := json.Marshal(what)
	must(err)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	fmt.Println(string(line))
}

// The library's own log.
type stderrLogger struct{}

func (stderrLogger) Debugf(_ context.Context, format string, v ...any) {
	fmt.Fprintf(os.Stderr, "debug "+format+"\n", v...)
}

func (stderrLogger) Errorf(_ context.Context, format string, v ...any) {
	fmt.Fprintf(os.Stderr, "error "+format+"\n", v...)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
