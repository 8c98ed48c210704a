/// From a YAML text to its documents as plain trees, every node with its place; what is wrong with the text is reported there.
module Tva.Import.Yaml

open System
open System.Collections.Generic
open System.IO
open Tva.Dsl
open YamlDotNet.Core
open YamlDotNet.Core.Events

/// A node. A mapping keeps its keys in order, each once.
type Node =
    { Span: Span
      Form: Form }

and Form =
    /// `Plain`: without quotes, so that `true` or `null` mean what they say.
    | Scalar of text: string * plain: bool
    | Sequence of Node list
    | Mapping of Entry list

and Entry = { Key: string; KeySpan: Span; Value: Node }

/// Deeper than any configuration, and shallow enough for the stack.
[<Literal>]
let private MostDeep = 64

exception private TooDeep of Mark

/// As PyYAML reads a plain scalar (YAML 1.1).
let isNull (node: Node) =
    match node.Form with
    | Scalar(("" | "~" | "null" | "Null" | "NULL"), true) -> true
    | _ -> false

let bool (node: Node) =
    match node.Form with
    | Scalar(text, true) ->
        match text.ToLowerInvariant() with
        | "true" | "yes" | "on" -> Some true
        | "false" | "no" | "off" -> Some false
        | _ -> None
    | _ -> None

/// What a node is, for messages.
let describe (node: Node) =
    match node.Form with
    | _ when isNull node -> "empty"
    | Scalar(text, _) ->
        // A file that is no YAML at all is one text.
        let line = text.Split('\n')[0]
        let shown = if line.Length > 40 then line[..36] + "..." elif line.Length < text.Length then line + "..." else text
        $"`{shown}`"
    | Sequence _ -> "a list"
    | Mapping _ -> "a mapping"

let private fail (first: Mark) (last: Mark) (what: string) : Node = raise (YamlException(&first, &last, what))

/// The documents of a text, as far as they can be read.
let documents (source: SourceText) (report: Diagnostic -> unit) : Node list =
    let scanner = Scanner(new StringReader(source.Text), true)
    let parser = Parser(scanner)
    let clamp (m: Mark) = Math.Clamp(int m.Index, 0, source.Text.Length)
    let between (first: Mark) (last: Mark) =
        let start = clamp first
        { Source = source.Number; Start = start; End = max start (clamp last) }
    // A block's end mark is where the next thing begins; the spaces before that are not of it.
    let spanOf (e: ParsingEvent) (last: Mark) =
        let span = between e.Start last
        { span with End = span.Start + source.Text.Substring(span.Start, span.End - span.Start).TrimEnd().Length }
    let anchors = Dictionary<string, Node>()
    let next () =
        if not (parser.MoveNext()) then
            raise (YamlException "the text ends early")
        Unchecked.nonNull parser.Current
    let rec node (depth: int) (e: ParsingEvent) : Node =
        if depth > MostDeep then
            raise (TooDeep e.Start)
        let keep (anchor: AnchorName) (n: Node) =
            if not anchor.IsEmpty then
                anchors[anchor.Value] <- n
            n
        match e with
        | :? Events.Scalar as s ->
            keep s.Anchor { Span = spanOf e s.End; Form = Scalar(s.Value, (s.Style = ScalarStyle.Plain)) }
        | :? AnchorAlias as a ->
            match anchors.TryGetValue a.Value.Value with
            | true, n -> n
            | _ -> fail a.Start a.End $"there is no anchor &{a.Value.Value}"
        | :? SequenceStart as s ->
            let items = List<Node>()
            let mutable e' = next ()
            while not (e' :? SequenceEnd) do
                items.Add(node (depth + 1) e')
                e' <- next ()
            keep s.Anchor { Span = spanOf e e'.End; Form = Sequence(List.ofSeq items) }
        | :? MappingStart as m ->
            let entries = List<Entry>()
            let merged = List<Entry>()
            let mutable e' = next ()
            while not (e' :? MappingEnd) do
                let key = node (depth + 1) e'
                let value = node (depth + 1) (next ())
                match key.Form with
                | Scalar("<<", true) ->
                    for part in (match value.Form with Sequence parts -> parts | _ -> [ value ]) do
                        match part.Form with
                        | Mapping more -> merged.AddRange more
                        | _ -> report (ConfigDiagnostics.wrongType part.Span "<<" "a mapping" (describe part))
                | Scalar(text, _) ->
                    if entries.Exists(fun known -> known.Key = text) then report (ConfigDiagnostics.twice key.Span text)
                    else entries.Add { Key = text; KeySpan = key.Span; Value = value }
                | _ -> report (ConfigDiagnostics.wrongType key.Span "a key" "a text" (describe key))
                e' <- next ()
            for entry in merged do
                if not (entries.Exists(fun known -> known.Key = entry.Key)) then
                    entries.Add entry
            keep m.Anchor { Span = spanOf e e'.End; Form = Mapping(List.ofSeq entries) }
        | other -> fail other.Start other.End "a value is missing here"
    /// The first tab that a line is indented with.
    let tabbed () =
        Seq.append [ 0 ] (source.Text |> Seq.indexed |> Seq.filter (fun (_, ch) -> ch = '\n') |> Seq.map (fun (i, _) -> i + 1))
        |> Seq.tryPick (fun start ->
            let mutable i = start
            while i < source.Text.Length && source.Text[i] = ' ' do
                i <- i + 1
            if i < source.Text.Length && source.Text[i] = '\t' then Some i else None)
    let found = List<Node>()
    try
        while parser.MoveNext() do
            match parser.Current with
            | :? DocumentStart ->
                anchors.Clear()
                found.Add(node 0 (next ()))
            | _ -> ()
    with
    | :? YamlException as e ->
        let message = e.Message.TrimEnd('.')
        // The message may begin with the place, which the diagnostic shows.
        let said = if message.StartsWith "(Line" then message.Substring(message.IndexOf "): " + 3) else message
        let span = between e.Start e.Start
        match tabbed () with
        | Some at when said.Contains "tab" -> report (ConfigDiagnostics.tab { span with Start = at; End = at + 1 })
        | _ -> report (ConfigDiagnostics.syntax span (if said = "" then "it can't be read" else string (Char.ToLowerInvariant said[0]) + said.Substring 1))
    // What the library says of some broken texts.
    | :? InvalidOperationException
    | :? ArgumentException
    | :? IndexOutOfRangeException ->
        let mark = scanner.CurrentPosition
        report (ConfigDiagnostics.syntax (between mark mark) "it can't be read from here")
    | TooDeep mark -> report (ConfigDiagnostics.syntax (between mark mark) "it is nested too deeply")
    List.ofSeq found
