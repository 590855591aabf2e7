// An agent on release v0.14.0 of the reference Go client, whose instance uid is a ULID's text. It is told what to do by
// JSON lines on standard input and tells by JSON lines on standard output what its client saw, so that a case asserts on
// the peer's view.
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

	"github.com/open-telemetry/opamp-go/client"
	"github.com/open-telemetry/opamp-go/client/types"
	"github.com/open-telemetry/opamp-go/protobufs"
)

// What a line of standard input asks for. Which fields count depends on `Do`.
type order struct {
	Do         string            `json:"do"`
	Attributes map[string]string `json:"attributes"`
	Healthy    bool              `json:"healthy"`
	Error      string            `json:"error"`
	Names      []string          `json:"names"`
	Capability string            `json:"capability"`
	Type       string            `json:"type"`
	Data       string            `json:"data"`
	Hash       string            `json:"hash"`
	Name       string            `json:"name"`
	Version    string            `json:"version"`
}

type fields = map[string]any

type agent struct {
	client client.OpAMPClient
	// Guards what follows and standard output.
	mutex     sync.Mutex
	effective map[string]*protobufs.AgentConfigFile
}

func main() {
	endpoint := flag.String("endpoint", "", "ws:// or http:// address of the server")
	uid := flag.String("uid", "", "ULID of the instance")
	token := flag.String("token", "", "bearer token")
	beat := flag.Duration("heartbeat", 500*time.Millisecond, "time between polls")
	flag.Parse()

	a := &agent{}
	logger := stderrLogger{}
	if strings.HasPrefix(*endpoint, "http") {
		polling := client.NewHTTP(logger)
		polling.SetPollingInterval(*beat)
		a.client = polling
	} else {
		a.client = client.NewWebSocket(logger)
	}
	must(a.client.SetAgentDescription(describe(map[string]string{"service.name": "go-client"})))
	must(a.client.SetHealth(&protobufs.ComponentHealth{Healthy: true, Status: "fine"}))
	capabilities := protobufs.AgentCapabilities_AgentCapabilities_ReportsStatus |
		protobufs.AgentCapabilities_AgentCapabilities_AcceptsRemoteConfig |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsRemoteConfig |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsEffectiveConfig |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsHealth |
		protobufs.AgentCapabilities_AgentCapabilities_AcceptsRestartCommand |
		protobufs.AgentCapabilities_AgentCapabilities_AcceptsPackages |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsPackageStatuses |
		protobufs.AgentCapabilities_AgentCapabilities_AcceptsOpAMPConnectionSettings
	settings := types.StartSettings{
		OpAMPServerURL:        *endpoint,
		Capabilities:          capabilities,
		InstanceUid:           *uid,
		PackagesStateProvider: noPackages{},
		EnableCompression:     true,
		Callbacks:             a.callbacks(),
	}
	if *token != "" {
		settings.Header = map[string][]string{"Authorization": {"Bearer " + *token}}
	}
	must(a.client.Start(context.Background(), settings))

	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var o order
		must(json.Unmarshal(lines.Bytes(), &o))
		if o.Do == "stop" {
			break
		}
		if err := a.obey(&o); err != nil {
			a.tell(fields{"event": "refused", "do": o.Do, "error": err.Error()})
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	must(a.client.Stop(ctx))
	a.tell(fields{"event": "stopped"})
}

func (a *agent) obey(o *order) error {
	switch o.Do {
	case "describe":
		return a.client.SetAgentDescription(describe(o.Attributes))
	case "health":
		return a.client.SetHealth(&protobufs.ComponentHealth{Healthy: o.Healthy, LastError: o.Error})
	case "custom_capabilities":
		return a.client.SetCustomCapabilities(&protobufs.CustomCapabilities{Capabilities: o.Names})
	case "custom_message":
		_, err := a.client.SendCustomMessage(&protobufs.CustomMessage{
			Capability: o.Capability, Type: o.Type, Data: []byte(o.Data),
		})
		return err
	case "package_status":
		hash, err := hex.DecodeString(o.Hash)
		if err != nil {
			return err
		}
		return a.client.SetPackageStatuses(&protobufs.PackageStatuses{
			ServerProvidedAllPackagesHash: hash,
			Packages: map[string]*protobufs.PackageStatus{o.Name: {
				Name: o.Name, AgentHasVersion: o.Version, AgentHasHash: hash,
				Status: protobufs.PackageStatusEnum_PackageStatusEnum_Installed,
			}},
		})
	case "certificate_request":
		return a.client.RequestConnectionSettings(&protobufs.ConnectionSettingsRequest{
			Opamp: &protobufs.OpAMPConnectionSettingsRequest{
				CertificateRequest: &protobufs.CertificateRequest{Csr: []byte(o.Data)},
			},
		})
	}
	return fmt.Errorf("no such order: %s", o.Do)
}

func (a *agent) callbacks() types.Callbacks {
	return types.CallbacksStruct{
		OnConnectFunc: func(context.Context) { a.tell(fields{"event": "connected"}) },
		OnConnectFailedFunc: func(_ context.Context, err error) {
			a.tell(fields{"event": "connect_failed", "error": err.Error()})
		},
		OnErrorFunc: func(_ context.Context, err *protobufs.ServerErrorResponse) {
			a.tell(fields{"event": "error", "type": err.Type.String(), "error": err.ErrorMessage})
		},
		OnCommandFunc: func(_ context.Context, command *protobufs.ServerToAgentCommand) error {
			a.tell(fields{"event": "command", "type": command.Type.String()})
			return nil
		},
		OnMessageFunc: a.message,
		GetEffectiveConfigFunc: func(context.Context) (*protobufs.EffectiveConfig, error) {
			a.mutex.Lock()
			defer a.mutex.Unlock()
			return &protobufs.EffectiveConfig{ConfigMap: &protobufs.AgentConfigMap{ConfigMap: a.effective}}, nil
		},
	}
}

// A message: told, and what it offers is applied, or fails where the text says so.
func (a *agent) message(ctx context.Context, message *types.MessageData) {
	told := fields{"event": "message"}
	if offer := message.RemoteConfig; offer != nil {
		files := fields{}
		broken := false
		for name, file := range offer.Config.GetConfigMap() {
			files[name] = string(file.Body)
			broken = broken || strings.Contains(string(file.Body), "broken")
		}
		told["remote_config"] = fields{"hash": hex.EncodeToString(offer.ConfigHash), "files": files}
		status := &protobufs.RemoteConfigStatus{
			LastRemoteConfigHash: offer.ConfigHash,
			Status:               protobufs.RemoteConfigStatuses_RemoteConfigStatuses_APPLIED,
		}
		if broken {
			status.Status = protobufs.RemoteConfigStatuses_RemoteConfigStatuses_FAILED
			status.ErrorMessage = "it says that it is broken"
		} else {
			a.mutex.Lock()
			a.effective = offer.Config.GetConfigMap()
			a.mutex.Unlock()
		}
		a.report(a.client.SetRemoteConfigStatus(status))
		a.report(a.client.UpdateEffectiveConfig(ctx))
	}
	if identification := message.AgentIdentification; identification != nil {
		told["new_uid"] = identification.NewInstanceUid
	}
	if custom := message.CustomMessage; custom != nil {
		told["custom_message"] = fields{
			"capability": custom.Capability, "type": custom.Type, "data": string(custom.Data),
		}
	}
	if custom := message.CustomCapabilities; custom != nil {
		told["custom_capabilities"] = custom.Capabilities
	}
	if len(told) > 1 {
		a.tell(told)
	}
}

func (a *agent) report(err error) {
	if err != nil {
		a.tell(fields{"event": "refused", "error": err.Error()})
	}
}

func (a *agent) tell(what fields) {
	line, err := json.Marshal(what)
	must(err)
	a.mutex.Lock()
	defer a.mutex.Unlock()
	fmt.Println(string(line))
}

func describe(attributes map[string]string) *protobufs.AgentDescription {
	description := &protobufs.AgentDescription{}
	for key, value := range attributes {
		attribute := &protobufs.KeyValue{Key: key, Value: &protobufs.AnyValue{
			Value: &protobufs.AnyValue_StringValue{StringValue: value},
		}}
		if strings.HasPrefix(key, "service.") {
			description.IdentifyingAttributes = append(description.IdentifyingAttributes, attribute)
		} else {
			description.NonIdentifyingAttributes = append(description.NonIdentifyingAttributes, attribute)
		}
	}
	return description
}

// An agent that has no packages.
type noPackages struct{ types.PackagesStateProvider }

func (noPackages) LastReportedStatuses() (*protobufs.PackageStatuses, error) {
	return &protobufs.PackageStatuses{}, nil
}

func (noPackages) SetLastReportedStatuses(*protobufs.PackageStatuses) error { return nil }

// The client's own log.
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
