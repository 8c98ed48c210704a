/// What a host settles for the texts that it has evaluated: options go from here into every evaluator.
namespace Tva.Dsl

open System
open Tva.Core.Checkpoints
open Tva.Dsl.Typing

type EvaluatorOptions =
    { Permissions: Permissions
      /// Values for `param` statements, as text.
      Settings: Map<string, string>
      Run: RunSettings
      /// Texts come one after another from a person: what passes have told is remembered, and files that change meanwhile are noticed.
      Session: bool
      /// What the paths of texts that come without a file are relative to.
      Folder: string
      /// Checkpoints in memory that texts find by name, and as `memory:name` where a path is wanted.
      Variables: Map<string, MemoryCheckpoint>
      /// Takes what texts save as `memory:name`; None at a command line, where `memory:name` is a path like any other.
      Outputs: OutputTarget option
      /// Where texts may read and write; None: wherever the process may. Commands and F# that texts are permitted to run are not confined.
      Folders: AllowedFolders option
      /// Makes the F# compiler for `fs`, called when a text first holds F#.
      FSharp: (unit -> IFSharpHost) option }

    /// No commands, no F#, all cores, default memory.
    static member Default =
        { Permissions = { Run = false; FSharp = false }
          Settings = Map.empty
          Run = RunSettings.Default
          Session = false
          Folder = "."
          Variables = Map.empty
          Outputs = None
          Folders = None
          FSharp = None }

    /// With a bound on what a run holds in memory, in bytes.
    member o.WithMemory(bytes: int64) = { o with Run = { o.Run with Memory = bytes } }
    /// With so many threads to compute with.
    member o.WithThreads(threads: int) = { o with Run = { o.Run with Threads = threads } }
    /// With a device to compute on: "cpu" (the default, which reads as fast as a device is fed), "auto" for the CPU or a graphics card that is
    /// worth the transfer, "gpu", or a device's number, id or name as `tva device` lists them.
    member o.WithDevice(name: string) =
        ArgumentNullException.ThrowIfNull(name, nameof name)
        { o with Run = { o.Run with Device = name } }
    /// With a bound on what is held in a device's memory, in bytes.
    member o.WithDeviceMemory(bytes: int64) = { o with Run = { o.Run with DeviceMemory = Some bytes } }
    /// With NaN and infinity, in inputs and in results, as faults.
    member o.WithStrict() = { o with Run = { o.Run with Strict = true } }
    /// With no Gram matrices kept beside families, nor used from there.
    member o.WithoutCache() = { o with Run = { o.Run with Cache = false } }
    /// With what a stopped run has left of its outputs taken up again, and left where one stops.
    member o.WithResume() = { o with Run = { o.Run with Resume = true } }
    /// With those tensors of outputs written alone that are computed otherwise than what is there.
    member o.WithIncremental() = { o with Run = { o.Run with Incremental = true } }
    /// With a folder that the paths of texts are relative to.
    member o.WithFolder(path: string) =
        ArgumentException.ThrowIfNullOrEmpty(path, nameof path)
        { o with Folder = path }
    /// With a checkpoint in memory that texts call by its name.
    member o.WithVariable(checkpoint: MemoryCheckpoint) =
        ArgumentNullException.ThrowIfNull(checkpoint, nameof checkpoint)
        { o with Variables = o.Variables.Add(checkpoint.Name, checkpoint) }
    /// With somebody who takes what texts save as `memory:name`, for instance to send it on block by block; where it gives null the run is a fault.
    member o.WithOutputs(target: OutputTarget) =
        ArgumentNullException.ThrowIfNull(target, nameof target)
        { o with Outputs = Some target }
    /// With texts that may start programs, as `evaluate` does.
    member o.WithRun() = { o with Permissions = { o.Permissions with Run = true } }
    /// With texts that may hold F#, which runs with this process's rights: `WithFSharp(FSharpHosts.create)` of the package Tva.Scripting.
    member o.WithFSharp(host: Func<IFSharpHost>) =
        ArgumentNullException.ThrowIfNull(host, nameof host)
        { o with
            Permissions = { o.Permissions with FSharp = true }
            FSharp = Some host.Invoke }
    /// With reads and writes confined to these folders and what is below them; what may be written may be read.
    member o.WithFolders(read: string seq, write: string seq) = { o with Folders = Some(AllowedFolders(read, write)) }

/// A text as it came in: how diagnostics call it, what its paths are relative to.
type SessionText = { Name: string; Folder: string; Text: string }
