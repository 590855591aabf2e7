// Makes Go code of our published definitions, as anybody would with protoc: `generate DIRECTORY-OF-DEFINITIONS OUTPUT`.
// The compiler is pure Go, so that nothing needs to be installed; the plugins are the official ones, found on the PATH.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/pluginpb"
)

// In the order in which they import each other.
var definitions = []string{"opamp/v1/anyvalue.proto", "opamp/v1/opamp.proto", "opamp/grpc/v1/service.proto"}

// The Go packages that the definitions, which are for every language, do not name.
var packages = map[string]string{
	"opamp/v1/anyvalue.proto":     "opamp.test/interop/go-grpc/pb/opamp",
	"opamp/v1/opamp.proto":        "opamp.test/interop/go-grpc/pb/opamp",
	"opamp/grpc/v1/service.proto": "opamp.test/interop/go-grpc/pb/service",
}

func main() {
	request, err := compile(os.Args[1])
	must(err)
	for _, plugin := range []string{"protoc-gen-go", "protoc-gen-go-grpc"} {
		must(generate(plugin, request, os.Args[2]))
	}
}

func compile(directory string) (*pluginpb.CodeGeneratorRequest, error) {
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{directory}},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), definitions...)
	if err != nil {
		return nil, err
	}
	parameters := []string{"module=opamp.test/interop/go-grpc"}
	for file, name := range packages {
		parameters = append(parameters, "M"+file+"="+name)
	}
	request := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: definitions,
		Parameter:      proto.String(strings.Join(parameters, ",")),
	}
	for _, file := range files {
		request.ProtoFile = append(request.ProtoFile, protodesc.ToFileDescriptorProto(file))
	}
	return request, nil
}

func generate(plugin string, request *pluginpb.CodeGeneratorRequest, directory string) error {
	input, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	command := exec.Command(plugin)
	command.Stdin, command.Stderr = bytes.NewReader(input), os.Stderr
	output, err := command.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", plugin, err)
	}
	answer := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(output, answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return errors.New(*answer.Error)
	}
	for _, file := range answer.File {
		path := filepath.Join(directory, file.GetName())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(file.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
