// An agent over gRPC, on code generated from our published definitions and nothing else. It is told what to do by JSON
// lines on standard input and tells by JSON lines on standard output what it saw.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"opamp.test/interop/go-grpc/pb/opamp"
	"opamp.test/interop/go-grpc/pb/service"
)

// What a line of standard input asks for.
type order struct {
	Do      string `json:"do"`
	Healthy bool   `json:"healthy"`
	Error   string `json:"error"`
	Data    string `json:"data"`
}

type fields = map[string]any

type stream = grpc.BidiStreamingClient[opamp.AgentToServer, opamp.ServerToAgent]

type agent struct {
	uid    []byte
	client service.OpAMPServiceClient
	token  string
	// Guards what follows, sending and standard output.
	mutex    sync.Mutex
	stream   stream
	sequence uint64
	status   opamp.AgentToServer
}

func main() {
	address := flag.String("address", "", "host and port of the server")
	uid := flag.String("uid", "", "instance uid in hexadecimal digits")
	token := flag.String("token", "", "bearer token")
	flag.Parse()
	bytes, err := hex.DecodeString(*uid)
	must(err)
	connection, err := grpc.NewClient(*address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	a := &agent{uid: bytes, client: service.NewOpAMPServiceClient(connection), token: *token}
	name := &opamp.AnyValue{Value: &opamp.AnyValue_StringValue{StringValue: "go-grpc"}}
	a.status.AgentDescription = &opamp.AgentDescription{
		IdentifyingAttributes: []*opamp.KeyValue{{Key: "service.name", Value: name}},
	}
	a.status.Health = &opamp.ComponentHealth{Healthy: true, Status: "fine"}
	// With nothing in it: the server then knows that no config was applied.
	a.status.RemoteConfigStatus = &opamp.RemoteConfigStatus{}
	go a.run()

	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var o order
		must(json.Unmarshal(lines.Bytes(), &o))
		a.obey(&o)
	}
}

// Connects again and again: at once, then a little later each time.
func (a *agent) run() {
	for wait := time.Duration(0); ; wait = min(wait*2+10*time.Millisecond, time.Second) {
		time.Sleep(wait)
		connected, err := a.converse()
		a.tell(fields{"event": "ended", "code": status.Code(err).String(), "error": fmt.Sprint(err)})
		if connected {
			wait = 0
		}
	}
}

// One stream's life; tells whether the server said anything.
func (a *agent) converse() (bool, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if a.token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+a.token)
	}
	stream, err := a.client.Connect(ctx)
	if err != nil {
		return false, err
	}
	a.mutex.Lock()
	a.stream = stream
	a.mutex.Unlock()
	// An error of sending is io.EOF; why the stream ended is what receiving says.
	a.say(func(message *opamp.AgentToServer) { a.everything(message) })
	for connected := false; ; connected = true {
		message, err := stream.Recv()
		if err != nil {
			return connected, err
		}
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
		must(err)
		a.tell(fields{"event": "message", "message": json.RawMessage(text)})
		a.hear(message)
	}
}

// Does what the server says.
func (a *agent) hear(message *opamp.ServerToAgent) {
	if given := message.AgentIdentification; given != nil {
		a.mutex.Lock()
		a.uid = given.NewInstanceUid
		a.mutex.Unlock()
	}
	if message.Flags&uint64(opamp.ServerToAgentFlags_ServerToAgentFlags_ReportFullState) != 0 {
		a.say(a.everything)
	}
	if offer := message.RemoteConfig; offer != nil {
		a.apply(offer)
	}
}

// Takes a config, or fails where its text says so.
func (a *agent) apply(offer *opamp.AgentRemoteConfig) {
	result := &opamp.RemoteConfigStatus{
		LastRemoteConfigHash: offer.ConfigHash,
		Status:               opamp.RemoteConfigStatuses_RemoteConfigStatuses_APPLIED,
	}
	for _, file := range offer.Config.ConfigMap {
		if strings.Contains(string(file.Body), "broken") {
			result.Status = opamp.RemoteConfigStatuses_RemoteConfigStatuses_FAILED
			result.ErrorMessage = "it says that it is broken"
		}
	}
	a.say(func(message *opamp.AgentToServer) {
		a.status.RemoteConfigStatus = result
		message.RemoteConfigStatus = result
		if result.ErrorMessage == "" {
			a.status.EffectiveConfig = &opamp.EffectiveConfig{ConfigMap: offer.Config}
			message.EffectiveConfig = a.status.EffectiveConfig
		}
	})
}

func (a *agent) obey(o *order) {
	switch o.Do {
	case "health":
		a.say(func(message *opamp.AgentToServer) {
			a.status.Health = &opamp.ComponentHealth{Healthy: o.Healthy, LastError: o.Error}
			message.Health = a.status.Health
		})
	case "certificate_request":
		a.say(func(message *opamp.AgentToServer) {
			message.ConnectionSettingsRequest = &opamp.ConnectionSettingsRequest{
				Opamp: &opamp.OpAMPConnectionSettingsRequest{
					CertificateRequest: &opamp.CertificateRequest{Csr: []byte(o.Data)},
				},
			}
		})
	case "request_uid":
		a.say(func(message *opamp.AgentToServer) {
			message.Flags = uint64(opamp.AgentToServerFlags_AgentToServerFlags_RequestInstanceUid)
		})
	case "skip":
		a.mutex.Lock()
		defer a.mutex.Unlock()
		a.sequence++
	case "leave":
		a.say(func(message *opamp.AgentToServer) { message.AgentDisconnect = &opamp.AgentDisconnect{} })
		a.mutex.Lock()
		defer a.mutex.Unlock()
		must(a.stream.CloseSend())
	default:
		must(fmt.Errorf("no such order: %s", o.Do))
	}
}

func (a *agent) everything(message *opamp.AgentToServer) {
	message.AgentDescription = a.status.AgentDescription
	message.Health = a.status.Health
	message.EffectiveConfig = a.status.EffectiveConfig
	message.RemoteConfigStatus = a.status.RemoteConfigStatus
}

// Sends a message with what every message has, and what `put` adds.
func (a *agent) say(put func(*opamp.AgentToServer)) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.sequence++
	message := &opamp.AgentToServer{
		InstanceUid: a.uid,
		SequenceNum: a.sequence,
		Capabilities: uint64(opamp.AgentCapabilities_AgentCapabilities_ReportsStatus |
			opamp.AgentCapabilities_AgentCapabilities_AcceptsRemoteConfig |
			opamp.AgentCapabilities_AgentCapabilities_ReportsRemoteConfig |
			opamp.AgentCapabilities_AgentCapabilities_ReportsEffectiveConfig |
			opamp.AgentCapabilities_AgentCapabilities_ReportsHealth |
			opamp.AgentCapabilities_AgentCapabilities_AcceptsRestartCommand),
	}
	put(message)
	if err := a.stream.Send(message); err != nil {
		fmt.Fprintln(os.Stderr, "not sent:", err)
	}
}

func (a *agent) tell(what fields) {
	line, err := json.Marshal(what)
	must(err)
	a.mutex.Lock()
	defer a.mutex.Unlock()
	fmt.Println(string(line))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
