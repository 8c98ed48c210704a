/// A script in the making: models are declared when they are first asked for, statements come in order, comments before what they
/// are about.
namespace Tva.Import

open System
open System.Collections.Generic
open System.IO
open Tva.Core
open Tva.Core.Checkpoints
open Tva.Dsl
open Tva.Dsl.Syntax

/// Where a script's paths lead: `Config` and `Working` are the folders that relative ones are looked up in, `Script` the one that
/// they are then written relative to.
type Folders = { Working: string; Config: string; Script: string }

type Script(folders: Folders, report: Diagnostic -> unit) =
    let names = Names()
    let declarations = ResizeArray<string>()
    let lines = ResizeArray<string>()
    let comments = ResizeArray<string>()
    let declared = Dictionary<Reference, string>()
    let merges = Dictionary<string, string>()
    let downloads = HashSet<string>()
    let mutable readsFolders = false

    /// The full path of what is there.
    let found (path: string) =
        [ folders.Working; folders.Config ]
        |> List.map (fun folder -> Path.GetFullPath(path, folder))
        |> List.tryFind (fun full -> File.Exists full || Directory.Exists full)

    let shown (path: string) =
        match found path with
        | Some full when not (Path.IsPathRooted path) -> Path.GetRelativePath(folders.Script, full).Replace('\\', '/')
        | _ -> path

    let isRemote (path: string) =
        let part (p: string) = p <> "" && p <> "." && p <> ".." && p |> Seq.forall (fun c -> Char.IsAsciiLetterOrDigit c || c = '-' || c = '_' || c = '.')
        match path.Split '/' with
        | [| owner; name |] -> part owner && part name && not (Endings.isFile name)
        | _ -> false

    /// The path as a text, with a line that says how to get what isn't here.
    let source (span: Span) (place: Place) =
        if (found place.Path).IsNone && downloads.Add(string place) then
            let revision = match place.Revision with Some r -> $" --revision {r}" | None -> ""
            if isRemote place.Path then
                declarations.Add $"# not here yet: hf download {place.Path}{revision} --local-dir {place.Path}"
            else
                declarations.Add "# not found"
                report (ConfigDiagnostics.assumed span $"{place.Path} is not here" "the script keeps the path as it is; paths are looked up from the working folder, then from the configuration's")
        Printer.quote (shown place.Path)

    member _.Names = names

    member _.Report(d: Diagnostic) = report d

    /// A remark for the next statement.
    member _.Comment(text: string) = comments.Add $"# {text}"

    /// What a script can't say: a comment and a warning.
    member s.Inexpressible(span, what: string, help: string) =
        report (ConfigDiagnostics.inexpressible span what help)
        s.Comment $"not as in mergekit: {what}; {help}"

    member _.Add(statement: string) =
        lines.AddRange comments
        comments.Clear()
        lines.Add statement

    /// A value where it stands, or a name for it where it would make a long line.
    member s.Value(wanted: string, text: string) =
        if text.Length <= 32 then text
        else
            let name = names.Fresh wanted
            s.Add $"{name} = {text}"
            name

    member _.Blank() = if lines.Count > 0 && lines[lines.Count - 1] <> "" then lines.Add ""

    /// The path of a model that isn't a variable's.
    member _.Source(span, place: Place) =
        readsFolders <- readsFolders || not (Endings.isFile place.Path)
        source span place

    /// Whether a model is a folder, as those of Hugging Face are: then what is made of it is one as well.
    member _.ReadsFolders = readsFolders

    /// Makes a merge known by its document's name, for documents that go on with it.
    member _.Define(document: string, variable: string) = merges[document] <- variable

    member _.IsMerge(reference: Reference) = merges.ContainsKey reference.Model.Path

    /// The variable of a model, under a given name if it is new.
    member s.Model(reference: Reference, ?wanted: string) : string =
        match declared.TryGetValue reference, merges.TryGetValue reference.Model.Path with
        | (true, name), _ -> name
        | _, (true, name) when reference.Lora.IsNone -> name
        | _ ->
            match reference.Lora with
            | None ->
                let name = match wanted with Some w -> names.Fresh w | None -> names.OfPath reference.Model.Path
                let text = s.Source(reference.Span, reference.Model)
                declarations.Add $"{name} = model({text})"
                declared[reference] <- name
                name
            | Some lora ->
                let under = s.Model { reference with Lora = None }
                let name = match wanted with Some w -> names.Fresh w | None -> names.OfPath lora.Path
                // What is added to a merge stands behind it.
                let add (line: string) = if merges.ContainsKey reference.Model.Path then s.Add line else declarations.Add line
                let text = source reference.Span lora
                add $"{name} = {under} + delta({text}, {under})"
                declared[reference] <- name
                name

    /// The tensors of a model that is here.
    member _.Tensors(reference: Reference) =
        match found reference.Model.Path with
        | Some full when not (merges.ContainsKey reference.Model.Path) ->
            try
                use c = Checkpoint.Open full
                Some(Seq.toList c.Tensors)
            with :? FaultException ->
                None
        | _ -> None

    member s.LayerCount(reference: Reference) =
        match s.Tensors reference with
        | Some tensors ->
            match tensors |> List.map _.Layer |> List.max with
            | -1 -> None
            | last -> Some(last + 1)
        | None -> None

    /// All of it, under a heading.
    member _.Text(heading: string list) =
        let body = Seq.toList lines
        String.Join("\n", [ for h in heading -> $"# {h}" ] @ [ "" ] @ Seq.toList declarations @ [ "" ] @ body) + "\n"
