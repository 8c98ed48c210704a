/// `tva import`: a configuration's file goes in; the script comes out, on stdout or in a file, and what it can't say on stderr.
module Tva.Import.Command

open System
open System.IO
open System.Text
open Tva
open Tva.Core
open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Tva.Dsl

/// No configuration is larger; a checkpoint given by mistake is.
[<Literal>]
let private Largest = 4_000_000L

let private read (host: Host) (path: string) =
    if path = "-" then
        host.In.ReadToEnd()
    else
        let full = host.Full path
        if Directory.Exists full then
            raise (FaultException $"{path}: is a folder, not a configuration")
        if not (File.Exists full) then
            raise (FaultException $"{path}: doesn't exist")
        try
            if FileInfo(full).Length > Largest then
                raise (FaultException $"{path}: is no configuration, it has {Sizes.Text (FileInfo full).Length}")
            File.ReadAllText(full, UTF8Encoding(false, true))
        with
        | :? DecoderFallbackException -> raise (FaultException $"{path}: is no UTF-8 text; configurations are")
        | :? UnauthorizedAccessException
        | :? IOException as e -> raise (FaultException($"{path}: can't be read: {e.Message}", e))

let private folderOf (full: string) = Path.GetDirectoryName full |> Option.ofObj |> Option.defaultValue "."

let private write (host: Host) (path: string) (text: string) =
    WholeFile.Write(host.Full path, Encoding.UTF8.GetBytes text)

/// `output`: the script's file; where there is none it goes to stdout.
let run (host: Host) (report: Report) (path: string) (output: string option) (force: bool) (strict: bool) =
    match output with
    | Some file when not force && File.Exists(host.Full file) ->
        raise (FaultException $"{file}: is there already; --force writes over it")
    | Some file when Directory.Exists(host.Full file) -> raise (FaultException $"{file}: is a folder; name the script's file")
    | _ -> ()
    let name = if path = "-" then "<stdin>" else path
    let source = { Number = 0; Name = name; Folder = host.Folder; Text = read host path }
    let found = ResizeArray<Diagnostic>()
    let folders =
        { Working = host.Folder
          Config = if path = "-" then host.Folder else folderOf (host.Full path)
          Script = match output with Some file -> folderOf (host.Full file) | None -> host.Folder }
    let target =
        match output with
        | Some file -> Path.GetFileNameWithoutExtension file |> Unchecked.nonNull
        | None -> "merged"
    let configs = Reading.configs source found.Add
    let script = Assembly.script (if path = "-" then "configuration" else string (Path.GetFileName path)) folders found.Add target configs
    let findings = found |> Seq.distinct |> Seq.sortBy (fun d -> d.Span.Start, d.Span.End, d.Code) |> List.ofSeq
    if not (report.Findings([ source ], findings, strict)) then
        Exit.Wrong
    else
        match output with
        | Some file ->
            write host file script
            if report.Json then report.Result(Json.line (fun json -> json.WriteString("event", "saved"); json.WriteString("path", host.Full file)))
            else host.Say $"saved {file}"
        | None ->
            report.Result(if report.Json then Json.line (fun json -> json.WriteString("event", "script"); json.WriteString("text", script)) else script)
        Exit.Done
