/// From YAML nodes to the texts, models and settings of a configuration; what is wrong with one is reported at its place.
module Tva.Import.Fields

open System
open System.Globalization
open Tva.Dsl
open Tva.Import.Yaml

type Report = Diagnostic -> unit

/// The entries of a mapping, those of unknown keys reported and left out.
let entries (report: Report) place (known: string list) (node: Node) =
    match node.Form with
    | Mapping entries ->
        for e in entries do
            if not (List.contains e.Key known) then
                report (ConfigDiagnostics.key e.KeySpan place e.Key known)
        Some(entries |> List.filter (fun e -> List.contains e.Key known))
    | _ ->
        report (ConfigDiagnostics.wrongType node.Span place "a mapping" (describe node))
        None

/// What stands under a key; nothing where it is empty, as in YAML `key:`.
let under key (entries: Entry list) =
    entries |> List.tryFind (fun e -> e.Key = key && not (isNull e.Value))

let text (report: Report) what (node: Node) =
    match node.Form with
    | Scalar(t, _) when not (isNull node) -> Some t
    | _ ->
        report (ConfigDiagnostics.wrongType node.Span what "a text" (describe node))
        None

let optionalText report key entries =
    under key entries |> Option.bind (fun e -> text report key e.Value)

let items (report: Report) what (node: Node) =
    match node.Form with
    | Sequence items when not items.IsEmpty -> items
    | _ ->
        report (ConfigDiagnostics.wrongType node.Span what "a list" (match node.Form with Sequence _ -> "an empty one" | _ -> describe node))
        []

// Models

let private place (report: Report) (span: Span) (written: string) =
    match written.Split '@' with
    | [| path |] when path <> "" -> Some { Path = path; Revision = None }
    | [| path; revision |] when path <> "" && revision <> "" -> Some { Path = path; Revision = Some revision }
    | _ ->
        report (ConfigDiagnostics.sense span $"`{written}` is no model" "a model is written path, or path@revision")
        None

let private placeOf (report: Report) what (node: Node) =
    match node.Form with
    | Mapping _ ->
        entries report what [ "path"; "revision" ] node
        |> Option.bind (fun es ->
            match optionalText report "path" es with
            | Some path -> Some { Path = path; Revision = optionalText report "revision" es }
            | None ->
                if (under "path" es).IsNone then
                    report (ConfigDiagnostics.missing node.Span what "path" "the model's folder or file, or its name on Hugging Face")
                None)
    | _ -> text report what node |> Option.bind (place report node.Span)

let reference (report: Report) what (node: Node) : Reference option =
    match node.Form with
    | Mapping _ ->
        entries report what [ "model"; "lora"; "override_architecture" ] node
        |> Option.bind (fun es ->
            let lora = under "lora" es |> Option.map (fun e -> placeOf report "lora" e.Value)
            match under "model" es, lora with
            | _, Some None -> None
            | Some e, lora ->
                placeOf report "model" e.Value |> Option.map (fun m -> { Model = m; Lora = Option.flatten lora; Span = node.Span })
            | None, _ ->
                report (ConfigDiagnostics.missing node.Span what "model" "a path, or { path: ..., revision: ... }")
                None)
    | _ ->
        text report what node
        |> Option.bind (fun written ->
            match written.Split '+' with
            | [| model |] -> place report node.Span model |> Option.map (fun m -> { Model = m; Lora = None; Span = node.Span })
            | [| model; lora |] ->
                match place report node.Span model, place report node.Span lora with
                | Some m, Some l -> Some { Model = m; Lora = Some l; Span = node.Span }
                | _ -> None
            | _ ->
                report (ConfigDiagnostics.sense node.Span $"`{written}` is no model" "a model is written path, or path+adapter")
                None)

// Parameters

let private number (node: Node) =
    match bool node, node.Form with
    | Some b, _ -> Some(if b then 1.0 else 0.0)
    | None, Scalar(t, _) ->
        match Double.TryParse(t.Replace("_", ""), NumberStyles.Float, CultureInfo.InvariantCulture) with
        | true, v when Double.IsFinite v -> Some v
        | _ -> None
    | _ -> None

let private numbers (report: Report) name (node: Node) =
    let wrong (n: Node) =
        report (ConfigDiagnostics.wrongType n.Span name "a number, true or false" (describe n))
        None
    match node.Form with
    | Sequence [] -> wrong node
    | Sequence items ->
        let values = items |> List.map (fun i -> match number i with Some v -> Some v | None -> wrong i)
        if values |> List.forall Option.isSome then Some(List.map Option.get values) else None
    | _ -> match number node with Some v -> Some [ v ] | None -> wrong node

let private setting (report: Report) (entry: Entry) : Setting option =
    let name = entry.Key
    let isCase (n: Node) = match n.Form with Mapping _ -> true | _ -> false
    let case (n: Node) =
        entries report $"an entry of {name}" [ "value"; "filter" ] n
        |> Option.bind (fun es ->
            match under "value" es with
            | None ->
                report (ConfigDiagnostics.missing n.Span $"an entry of {name}" "value" "a number, or a list of numbers to go between over the layers")
                None
            | Some e ->
                numbers report name e.Value
                |> Option.map (fun v -> { Filter = optionalText report "filter" es; Numbers = v; Span = n.Span }))
    let cases =
        match entry.Value.Form with
        | Sequence items when items |> List.exists isCase ->
            items |> List.map (fun i ->
                if isCase i then case i
                else
                    report (ConfigDiagnostics.wrongType i.Span $"an entry of {name}" "a mapping of value and filter like the others" (describe i))
                    None)
        | Mapping _ ->
            report (ConfigDiagnostics.sense entry.Value.Span $"`{name}` has one entry without a list, which mergekit refuses" "write `- ` before it")
            [ None ]
        | _ -> [ numbers report name entry.Value |> Option.map (fun v -> { Filter = None; Numbers = v; Span = entry.Value.Span }) ]
    if cases |> List.forall Option.isSome then
        Some { Name = name; Span = entry.KeySpan; Cases = List.map Option.get cases }
    else
        None

let parameters (report: Report) entries : Parameters =
    match under "parameters" entries with
    | None -> []
    | Some e ->
        match e.Value.Form with
        | Mapping es -> es |> List.filter (fun e -> not (isNull e.Value)) |> List.choose (setting report)
        | _ ->
            report (ConfigDiagnostics.wrongType e.Value.Span "parameters" "a mapping" (describe e.Value))
            []
