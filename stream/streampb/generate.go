// Package streampb is the protobuf code of the frame envelope, generated from
// frame.proto.
package streampb

//go:generate protoc --go_out=. --go_opt=paths=source_relative frame.proto
