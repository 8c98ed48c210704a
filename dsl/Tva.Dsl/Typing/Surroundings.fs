/// What a host gives texts and how far it lets them reach: checkpoints and outputs in memory, folders to read and to write.
namespace Tva.Dsl.Typing

open System
open Tva.Core.Checkpoints

type Surroundings =
    { /// By the names that texts call them.
      Variables: Map<string, MemoryCheckpoint>
      /// Who takes what is saved as `memory:name`. None: there `memory:name` is a path like any other, as at a command line.
      Outputs: OutputTarget option
      /// None: wherever the process may.
      Folders: AllowedFolders option }

    static member None = { Variables = Map.empty; Outputs = None; Folders = None }

    /// The name in memory that a path is, if it is one.
    member s.InMemory(path: string) =
        if s.Outputs.IsSome && path.StartsWith(MemoryCheckpoint.Scheme, StringComparison.Ordinal) then Some(path.Substring MemoryCheckpoint.Scheme.Length)
        else None

    /// Where reading at a full path would leave the folders.
    member s.OutsideOfRead(full: string) = s.Folders |> Option.bind (fun f -> Option.ofObj (f.OutsideOfRead full))

    /// Whether a folder may be looked into.
    member s.MayEnter(full: string) = s.Folders |> Option.forall _.MayEnter(full)

    /// Where writing at a full path would leave the folders.
    member s.OutsideOfWrite(full: string) = s.Folders |> Option.bind (fun f -> Option.ofObj (f.OutsideOfWrite full))
