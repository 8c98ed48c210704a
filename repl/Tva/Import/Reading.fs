/// From a YAML tree to a mergekit configuration; everything that is wrong with it is reported at once, at its place.
module Tva.Import.Reading

open System
open System.Globalization
open Tva.Dsl
open Tva.Import.Fields
open Tva.Import.Yaml

let private topKeys =
    [ "merge_method"; "base_model"; "models"; "slices"; "modules"; "parameters"; "dtype"; "out_dtype"
      "tokenizer_source"; "tokenizer"; "chat_template"; "name" ]

// Models, slices, modules

let private range (report: Report) (node: Node) =
    let whole (n: Node) =
        match n.Form with
        | Scalar(t, _) ->
            match Int32.TryParse(t, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
            | true, v -> Some v
            | _ -> None
        | _ -> None
    match node.Form with
    | Sequence [ a; b ] ->
        match whole a, whole b with
        | Some first, Some last when first >= 0 && last > first -> Some(first, last)
        | Some first, Some last ->
            report (ConfigDiagnostics.sense node.Span $"layers {first} to before {last} are none" "layer_range is [first, last + 1], from 0")
            None
        | _ ->
            report (ConfigDiagnostics.wrongType node.Span "layer_range" "two whole numbers" "something else")
            None
    | _ ->
        report (ConfigDiagnostics.wrongType node.Span "layer_range" "two whole numbers" (describe node))
        None

let private model (report: Report) place entries span =
    match under "model" entries with
    | Some e -> reference report "model" e.Value
    | None ->
        report (ConfigDiagnostics.missing span place "model" "the model's folder or file, or its name on Hugging Face")
        None

let private source (report: Report) (sliced: bool) (node: Node) : Source option =
    let place = if sliced then "a source" else "an entry of models"
    entries report place [ "model"; "parameters"; "layer_range" ] node
    |> Option.bind (fun es ->
        let layers =
            match under "layer_range" es with
            | Some e when sliced -> range report e.Value
            | Some e ->
                report (ConfigDiagnostics.ignored e.KeySpan "`layer_range` has no effect under `models`" "whole models are merged; some of their layers are `slices`")
                None
            | None ->
                if sliced then
                    report (ConfigDiagnostics.missing node.Span place "layer_range" "[first, last + 1]")
                None
        let parameters = parameters report es
        model report place es node.Span
        |> Option.map (fun m -> { Model = m; Layers = layers; Parameters = parameters; Span = node.Span }))

let private slice (report: Report) (node: Node) : Slice option =
    let known = [ "sources"; "base_model"; "parameters"; "residual_weight" ]
    entries report "a slice" known node
    |> Option.map (fun es ->
        match under "residual_weight" es with
        | Some e -> report (ConfigDiagnostics.ignored e.KeySpan "`residual_weight` has no effect, in mergekit neither" "remove it")
        | None -> ()
        let sources =
            match under "sources" es with
            | Some e -> items report "sources" e.Value |> List.choose (source report true)
            | None ->
                report (ConfigDiagnostics.missing node.Span "a slice" "sources" "a list of models with their layer_range")
                []
        let lengths = sources |> List.choose _.Layers |> List.map (fun (a, b) -> b - a) |> List.distinct
        if lengths.Length > 1 then
            report (ConfigDiagnostics.sense node.Span "the sources of a slice have different numbers of layers" "give each as many as the others")
        { Sources = sources
          Base = under "base_model" es |> Option.bind (fun e -> reference report "base_model" e.Value)
          Parameters = parameters report es
          Span = node.Span })

/// `models` or `slices` of a module, or of a document without modules.
let private parts (report: Report) name entries (span: Span) parameters : Module option =
    let listed key = under key entries
    match listed "models", listed "slices" with
    | Some m, None ->
        let sources = items report "models" m.Value |> List.choose (source report false)
        let all = { Sources = sources; Base = None; Parameters = []; Span = m.Value.Span }
        Some { Name = name; Slices = [ all ]; Whole = true; Parameters = parameters; Span = m.KeySpan }
    | None, Some s ->
        Some { Name = name; Slices = items report "slices" s.Value |> List.choose (slice report); Whole = false; Parameters = parameters; Span = s.KeySpan }
    | Some m, Some _ ->
        report (ConfigDiagnostics.sense m.KeySpan "`models` and `slices` stand here both" "keep one of them: whole models, or layers of them")
        None
    | None, None ->
        report (ConfigDiagnostics.missing span (if name = "" then "a configuration" else $"the module {name}") "models" "a list of models; or `slices`, layers of them")
        None

let private modules (report: Report) (top: Entry list) (span: Span) =
    match under "modules" top with
    | None -> parts report "" top span [] |> Option.toList
    | Some e ->
        for other in [ "models"; "slices" ] do
            match under other top with
            | Some o -> report (ConfigDiagnostics.sense o.KeySpan $"`modules` and `{other}` stand here both" "keep one of them")
            | None -> ()
        let one (m: Entry) =
            entries report $"the module {m.Key}" [ "models"; "slices"; "parameters" ] m.Value
            |> Option.bind (fun es -> parts report m.Key es m.Value.Span (parameters report es))
        match e.Value.Form with
        | Mapping named -> named |> List.choose one
        | _ ->
            report (ConfigDiagnostics.wrongType e.Value.Span "modules" "a mapping of names to modules" (describe e.Value))
            []

// Documents

/// mergekit's names of dtypes, and TVA's.
let private dtypes = [ "bfloat16", "bf16"; "float16", "f16"; "float32", "f32" ]

let private dtype (report: Report) key entries =
    match under key entries with
    | None -> None
    | Some e ->
        text report key e.Value
        |> Option.bind (fun written ->
            let name = if written.StartsWith "torch." then written.Substring 6 else written
            match List.tryFind (fst >> (=) name) dtypes with
            | Some(_, ours) -> Some ours
            | None ->
                report (ConfigDiagnostics.choice e.Value.Span "dtype" written (List.map fst dtypes))
                None)

/// The names that mergekit's other commands give their configurations.
let private foreign =
    [ "experts", "this is a configuration of mergekit-moe: a mixture of experts is a model of another architecture, which TVA doesn't make"
      "genome", "this is a configuration of mergekit-evolve: a search, not a merge" ]

let private document (report: Report) (node: Node) : Config option =
    let strange =
        match node.Form with
        | Mapping es -> es |> List.tryPick (fun e -> foreign |> List.tryFind (fst >> (=) e.Key) |> Option.map (fun (_, what) -> e, what))
        | _ -> None
    match strange with
    | Some(e, what) ->
        report (ConfigDiagnostics.sense e.KeySpan what "tva import takes what mergekit-yaml and mergekit-multi take")
        None
    | None ->
        entries report "a configuration" topKeys node
        |> Option.bind (fun es ->
            let modules = modules report es node.Span
            let parameters = parameters report es
            let dtypes = dtype report "dtype" es, dtype report "out_dtype" es
            let vocabulary =
                [ for key in [ "tokenizer_source"; "tokenizer"; "chat_template" ] do
                      match under key es with
                      | Some e -> key, e.KeySpan
                      | None -> () ]
            match vocabulary with
            | ("tokenizer_source", _) :: ("tokenizer", span) :: _ ->
                report (ConfigDiagnostics.sense span "`tokenizer_source` and `tokenizer` stand here both" "keep one of them")
            | _ -> ()
            let first = { node.Span with End = node.Span.Start }
            match under "merge_method" es with
            | None ->
                report (ConfigDiagnostics.missing first "a configuration" "merge_method" "for instance linear, slerp or ties")
                None
            | Some e ->
                text report "merge_method" e.Value
                |> Option.map (fun name ->
                    { Name = optionalText report "name" es
                      Method = name
                      MethodSpan = e.Value.Span
                      Base = under "base_model" es |> Option.bind (fun e -> reference report "base_model" e.Value)
                      HasBase = (under "base_model" es).IsSome
                      Modules = modules
                      Parameters = parameters
                      DType = fst dtypes
                      OutDType = snd dtypes
                      Vocabulary = vocabulary
                      Span = first })
        )

/// The configurations of a text, one a document.
let configs (source: SourceText) (report: Report) : Config list =
    let mutable clean = true
    let report d =
        clean <- false
        report d
    match documents source report |> List.filter (isNull >> not) with
    | [] when clean ->
        report (ConfigDiagnostics.missing { Source = source.Number; Start = 0; End = 0 } "a configuration" "merge_method" "the text is empty")
        []
    | nodes -> nodes |> List.choose (document report)
