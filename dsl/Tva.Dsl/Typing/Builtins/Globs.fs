/// Comes in: a pattern and a folder. Goes out: the paths that match, and what their members are called.
module Tva.Dsl.Typing.Builtins.Globs

open System
open System.IO
open Tva.Core
open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing

let private listing (list: string -> string[]) (dir: string) =
    try
        list dir
    with
    | :? UnauthorizedAccessException
    | :? IOException as e -> raise (FaultException($"{dir}: can't list this folder: {e.Message}", e))

/// Files and checkpoint folders that match a glob (`*`, `?` within a name, `**` any folders), sorted by name. Folders that may not be
/// entered are passed over; one that can't be listed is a FaultException.
let expandGlob (mayEnter: string -> bool) (folder: string) (pattern: string) =
    let pattern = pattern.Replace('\\', '/')
    let rec walk (dir: string) (parts: string list) =
        match parts with
        | [] -> if File.Exists dir || Directory.Exists dir then [ dir ] else []
        | part :: _ when part.AsSpan().IndexOfAny('*', '?') >= 0 && not (mayEnter dir) -> []
        | "**" :: rest ->
            let below = if Directory.Exists dir then listing Directory.GetDirectories dir |> List.ofArray |> List.sortWith (fun a b -> String.CompareOrdinal(a, b)) else []
            walk dir rest @ (below |> List.collect (fun d -> walk d parts))
        | part :: rest when part.AsSpan().IndexOfAny('*', '?') >= 0 ->
            if Directory.Exists dir then
                listing Directory.GetFileSystemEntries dir
                |> Array.filter (fun e -> TensorScope.selects (string (Path.GetFileName e)) -1 (TensorScope.Glob part))
                // As in a shell, what begins with a dot is not meant.
                |> Array.filter (fun e -> part[0] = '.' || not ((string (Path.GetFileName e)).StartsWith '.'))
                |> Array.filter (fun e -> not (e.EndsWith ".partial"))
                |> Array.sortWith (fun a b -> String.CompareOrdinal(a, b))
                |> List.ofArray
                |> List.collect (fun e -> walk e rest)
            else
                []
        | part :: rest -> walk (Path.Combine(dir, part)) rest
    let root, relative =
        match Path.GetPathRoot pattern with
        | null
        | "" -> folder, pattern
        | root -> root, pattern.Substring root.Length
    walk root (relative.Split('/', StringSplitOptions.RemoveEmptyEntries) |> List.ofArray) |> List.distinct

/// A member's name: the file's without extension, or the folder's.
let stem (path: string) =
    let name = string (Path.GetFileName(Path.TrimEndingDirectorySeparator path))
    if path.StartsWith MemoryCheckpoint.Scheme then path.Substring MemoryCheckpoint.Scheme.Length
    elif Directory.Exists path then name
    else
        match name.LastIndexOf '.' with
        | -1 -> name
        | dot -> name.Substring(0, dot)

/// A path as the user would write it: relative to the folder where the pattern was.
let shown (ctx: Context) (pattern: string) (path: string) =
    if Path.IsPathRooted pattern then path else Path.GetRelativePath(ctx.Folder, path).Replace('\\', '/')

/// What of a glob is plain: the folders before the first wildcard.
let fixedPart (pattern: string) =
    match pattern.AsSpan().IndexOfAny('*', '?') with
    | -1 -> pattern
    | i ->
        match pattern.Substring(0, i).LastIndexOfAny [| '/'; '\\' |] with
        | -1 -> "."
        | slash -> pattern.Substring(0, max 1 slash)
