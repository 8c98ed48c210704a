/// From what a session has done to a script that does the same.
module Tva.Prompt.Saving

open System
open System.IO
open System.Text
open Tva
open Tva.Core
open Tva.Core.Checkpoints
open Tva.Dsl
open Tva.Dsl.Services

/// The texts as one script whose paths are relative to another folder.
let private asScript (folder: string) (texts: SessionText list) =
    let moved (text: SessionText) =
        if text.Folder = folder then text.Text
        else
            LanguageService.PathLiterals text.Text
            |> List.rev
            |> List.fold
                (fun (all: string) (first, last, path: string) ->
                    if Path.IsPathRooted path then all
                    else
                        let there = Path.GetRelativePath(folder, Path.GetFullPath(path, text.Folder)).Replace('\\', '/')
                        let quoted = there.Replace("\\", "\\\\").Replace("\"", "\\\"")
                        all.Substring(0, first) + "\"" + quoted + "\"" + all.Substring last)
                text.Text
    String.Join("", texts |> List.map (fun t -> (moved t).TrimEnd() + "\n"))

/// Writes the session to a script's path.
let save (s: Session) (path: string) =
    let path = path.Trim('"')
    let path = if Path.HasExtension path then path else path + ".tva"
    s.Guard(fun report _ ->
        let full = s.Host.Full path
        let folder = Path.GetDirectoryName full |> Unchecked.nonNull
        match s.Evaluator.Accepted with
        | [] ->
            report.Fault "there is nothing to save yet"
            Ended.Failed
        | texts ->
            let text = asScript folder texts
            if not (full.EndsWith(".tva", StringComparison.OrdinalIgnoreCase)) then
                raise (FaultException $"{path}: scripts are called something.tva")
            // A script that is there already stays whole whatever happens.
            WholeFile.Write(full, Encoding.UTF8.GetBytes text)
            report.Result $"saved {path}"
            // What a session does one after another a script may not do at once, such as reading what it has written.
            use fresh = new Evaluator({ s.Options with Session = false })
            let found = fresh.Check(path, folder, text)
            if found |> List.exists (fun d -> d.Severity = Severity.Error) then
                s.Host.Say "as one script it is not right yet:"
            report.Findings(fresh.Texts, found, false) |> ignore
            Ended.Done)
    |> ignore
