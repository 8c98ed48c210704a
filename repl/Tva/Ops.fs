/// From the tables of functions to what `tva ops` prints: the list, or all about one.
module Tva.Ops

open System
open Tva.Dsl

/// The first sentence, as far as a line of a list has room for it.
let private brief (room: int) (summary: string) =
    let i = summary.IndexOf ". "
    let first = if i >= 0 then summary.Substring(0, i + 1) else summary
    if first.Length > room then first.Substring(0, room - 3) + "..." else first

let private list (all: string) (entries: Help.Entry list) =
    [ for group, members in entries |> List.groupBy _.Group do
          group
          let width = members |> List.map _.Name.Length |> List.max
          for e in members do
              $"  {e.Name.PadRight width}  {brief (116 - width) e.Summary}"
          ""
      $"{all} tells all about one" ]

let private about (e: Help.Entry) =
    [ e.Signature
      $"  {e.Summary}"
      if e.Derived then
          "  written in TVA, so it fuses like a script's own expressions"
      if e.Example <> "" then
          $"  example: {e.Example}" ]

let private json (e: Help.Entry) =
    Json.line (fun json ->
        json.WriteString("name", e.Name)
        json.WriteString("group", e.Group)
        json.WriteString("signature", e.Signature)
        json.WriteString("summary", e.Summary)
        json.WriteString("example", e.Example)
        json.WriteBoolean("derived", e.Derived))

/// `all`: what is typed for all about one.
let run (report: Report) (all: string) (name: string option) =
    let entries = Help.statements @ Help.entries.Value
    let print (text: string list) (shown: Help.Entry list) =
        if report.Json then
            for e in shown do
                report.Result(json e)
        else
            report.Result(String.Join("\n", text))
        Exit.Done
    match name with
    | None -> print (list all entries) entries
    | Some name ->
        match entries |> List.filter (fun e -> e.Name = name) with
        | [] ->
            let help = entries |> List.map _.Name |> Suggest.question id name |> Option.defaultValue "tva ops lists them all"
            report.Fault $"there is no function {name}; {help}"
            Exit.Wrong
        | found -> print (found |> List.collect about) found
