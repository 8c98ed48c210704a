/// What may stand at a place of a text, and which files may.
namespace Tva.Dsl.Services

open System
open System.IO
open Tva.Core.Tensors
open Tva.Dsl

[<RequireQualifiedAccess>]
type CandidateKind =
    | Name
    | Function
    | Keyword
    | Member
    | Tensor
    | Path
    /// The name of an option of a call.
    | Option
    /// What an option may be.
    | Value
    | Type

/// Something that may stand at the place.
type Candidate =
    { /// What is to be written between the completion's start and end.
      Text: string
      Kind: CandidateKind
      /// A signature, a kind, a size.
      Detail: string }

type Completion =
    { Start: int
      End: int
      Candidates: Candidate list }

    static member None = { Start = 0; End = 0; Candidates = [] }

module internal Paths =

    /// Files and folders that begin like a path; only those with one of the extensions, where there are any.
    let listed (folder: string) (written: string) (extensions: string list) : Candidate list =
        let at = written.LastIndexOf '/' + 1
        let lead, rest = written.Substring(0, at), written.Substring at
        try
            let directory = DirectoryInfo(Path.Combine(folder, lead))
            if not directory.Exists then []
            else
                [ for entry in directory.EnumerateFileSystemInfos() |> Seq.truncate 20_000 do
                      if entry.Name.StartsWith(rest, StringComparison.Ordinal) && (rest.StartsWith '.' || not (entry.Name.StartsWith '.')) then
                          match entry with
                          | :? DirectoryInfo -> { Text = lead + entry.Name + "/"; Kind = CandidateKind.Path; Detail = "folder" }
                          | :? FileInfo as f when extensions.IsEmpty || List.contains (f.Extension.ToLowerInvariant()) extensions ->
                              { Text = lead + entry.Name; Kind = CandidateKind.Path; Detail = Sizes.Text f.Length }
                          | _ -> () ]
                |> List.sortBy _.Text
        with
        | :? IOException
        | :? UnauthorizedAccessException
        | :? ArgumentException -> []
