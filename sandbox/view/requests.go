package view

import (
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/api/types/volume"
)

// What clients send and get, under the names of the Engine API.
type (
	CreateRequest      = container.CreateRequest
	Config             = container.Config
	HostConfig         = container.HostConfig
	Resources          = container.Resources
	UpdateConfig       = container.UpdateConfig
	Mount              = mount.Mount
	EndpointSettings   = network.EndpointSettings
	NetworkingConfig   = network.NetworkingConfig
	NetworkCreated     = network.CreateResponse
	NetworkConnect     = network.ConnectRequest
	NetworkDisconnect  = network.DisconnectRequest
	NetworkIPAM        = network.IPAM
	VolumeRequest      = volume.CreateRequest
	VolumeList         = volume.ListResponse
	VolumeItem         = volume.Volume
	VolumesPruned      = volume.PruneReport
	VolumeUsage        = volume.UsageData
	Created            = container.CreateResponse
	Waited             = container.WaitResponse
	Top                = container.TopResponse
	FilesystemChange   = container.FilesystemChange
	ContainerSummary   = container.Summary
	ExecRequest        = container.ExecCreateRequest
	ExecStart          = container.ExecStartRequest
	ExecInspect        = container.ExecInspectResponse
	ExecProcess        = container.ExecProcessConfig
	ImageDeleted       = image.DeleteResponse
	ImageStep          = image.HistoryResponseItem
	RegistryAuth       = registry.AuthConfig
	RegistryAuthAnswer = registry.AuthResponse
	SearchResult       = registry.SearchResult
	Version            = system.VersionResponse
	Component          = system.ComponentVersion
)

// ChangeKind is Docker's number for a change: 0 modified, 1 added, 2 deleted.
type ChangeKind = container.ChangeType
