/// From a path to a text that may be a script, or to why it can't be one.
namespace Tva

open System
open System.IO
open System.Runtime.ExceptionServices
open System.Text
open System.Threading.Tasks
open Tva.Core
open Tva.Core.Tensors
open Tva.Dsl

/// A text with how diagnostics call it and what its paths are relative to.
type Script = { Name: string; Folder: string; Text: string }

module Script =

    let private strictUtf8 = UTF8Encoding(false, true)

    /// The script that is nearest to a missing one.
    let private nearScript (full: string) =
        let folder = Path.GetDirectoryName full |> Option.ofObj |> Option.defaultValue "."
        if Directory.Exists folder then
            let names = Directory.EnumerateFiles(folder, "*.tva") |> Seq.map (fun f -> Path.GetFileName f |> Unchecked.nonNull)
            let name = Path.GetFileName full |> Unchecked.nonNull
            match (if File.Exists(full + ".tva") then Some(name + ".tva") else Suggest.nearest name names) with
            | Some near -> $"; did you mean {near}?"
            | None -> ""
        else
            $", nor does the folder {folder}"

    /// All of it; what comes through a pipe may take its time, and the wish to stop is heard meanwhile.
    let private whole (host: Host) (reader: TextReader) =
        let reading = Task.Run(fun () -> reader.ReadToEnd())
        try
            reading.Wait host.Cancel
        with :? AggregateException as e ->
            ExceptionDispatchInfo.Throw(Unchecked.nonNull e.InnerException)
        reading.Result

    let ofInput (host: Host) = { Name = "<stdin>"; Folder = host.Folder; Text = whole host host.In }

    let ofFile (host: Host) (path: string) =
        let full = host.Full path
        if Directory.Exists full then
            raise (FaultException $"{path}: is a folder, not a script; tva inspect lists a checkpoint's tensors")
        if not (File.Exists full) then
            raise (FaultException $"{path}: doesn't exist{nearScript full}")
        try
            // A checkpoint given by mistake is told from its size and first bytes, before it is read whole.
            use file = File.OpenRead full
            if file.CanSeek && file.Length > (64L <<< 20) then
                raise (FaultException $"{path}: is no script, it has {Sizes.Text file.Length}; is it a checkpoint? tva inspect {path} lists it")
            use reader = new StreamReader(file, strictUtf8)
            let text = if file.CanSeek then reader.ReadToEnd() else whole host reader
            // UTF-16 without its mark is UTF-8 with a NUL in every second place, which the language would complain about one by one.
            if text.Contains '\000' then
                raise (FaultException $"{path}: is no text, it has NUL characters; save the script as UTF-8; tva inspect lists a checkpoint's tensors")
            { Name = path
              // A pipe, such as a shell's <(...), has no folder of its own.
              Folder = if file.CanSeek then Path.GetDirectoryName full |> Unchecked.nonNull else host.Folder
              Text = text }
        with
        | :? DecoderFallbackException -> raise (FaultException $"{path}: is no UTF-8 text; scripts are; tva inspect lists a checkpoint's tensors")
        | :? UnauthorizedAccessException
        | :? IOException as e -> raise (FaultException($"{path}: can't be read: {e.Message}", e))
