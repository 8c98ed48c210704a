/// From a checkpoint's headers to the list of what is in it.
module Tva.Inspect

open System.Collections.Generic
open System.IO
open Tva.Core
open Tva.Core.Adapters
open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Tva.Dsl

type private Facts =
    { Checkpoint: Checkpoint
      /// Of a low-rank adapter what its modules are, or what is wrong with it.
      Adapter: Result<AdapterLayout, string> option
      /// Norms of the floating tensors by name, where they were asked for.
      Norms: Dictionary<string, float> option }

let private norm (facts: Facts) (t: TensorInfo) =
    match facts.Norms with
    | Some norms ->
        match norms.TryGetValue t.Name with
        | true, v -> Some v
        | _ -> None
    | None -> None

let private byType (c: Checkpoint) =
    c.Tensors
    |> Seq.groupBy (fun t -> t.DType, c.StoredType t)
    |> Seq.sortBy fst
    |> Seq.map (fun ((_, stored), ts) -> stored, Seq.length ts, ts |> Seq.sumBy _.Shape.Elements, ts |> Seq.sumBy c.StoredBytes)
    |> List.ofSeq

/// What a user should know of it, and which files of its folder are no part of it though they look like some.
let private notesOf (c: Checkpoint) =
    let looks (file: string) = [ ".safetensors"; ".pt"; ".pth"; ".bin"; ".gguf" ] |> List.exists (fun e -> file.EndsWith(e, System.StringComparison.OrdinalIgnoreCase))
    let others =
        if not (Directory.Exists c.Path) then []
        else
            let taken = c.Files |> Seq.map Path.GetFullPath |> HashSet
            [ for file in Directory.EnumerateFiles c.Path |> Seq.sort do
                  if looks file && not (taken.Contains(Path.GetFullPath file)) then string (Path.GetFileName file) ]
    List.ofSeq c.Notes @ (if others.IsEmpty then [] else [ "left out: " + Suggest.listing others ])

let private adapterOf (checkpoint: Checkpoint) =
    if not (AdapterLayout.IsAdapter checkpoint) then None
    else
        try
            Some(Ok(AdapterLayout.Read checkpoint))
        with :? FaultException as e ->
            Some(Result.Error e.Message)

/// The adapter's modules, each with its rank and scale.
let private adapterText (withNorms: bool) (adapter: Result<AdapterLayout, string>) =
    match adapter with
    | Result.Error message -> [ $"adapter that can't be read: {Format.printable message}" ]
    | Ok layout ->
        let config =
            match layout.Config with
            | null -> "single file"
            | c ->
                let style = if c.IsStabilized then ", rsLoRA" else ""
                let name = match c.BaseName with null | "" -> "" | name -> $", over {Format.printable name}"
                $"r {c.Rank}, alpha {Format.number c.Alpha}{style}{name}"
        let norm m = if withNorms then [ Format.number (layout.NormOf m) ] else []
        let rows = [ for m in layout.Modules -> [ Format.printable m.Name; string m.Rank; Format.number m.Scale ] @ norm m ]
        let header = [ "module"; "rank"; "scale" ] @ (if withNorms then [ "norm" ] else [])
        [ $"low-rank adapter: {config}"
          yield! Format.columns (header |> List.map ((<>) "module")) (header :: rows) |> Seq.map (fun line -> "  " + line)
          for name in layout.Replaced do
              $"  in full: {Format.printable name}" ]

/// How a tensor is kept, and what is read of it where that is something else.
let private kept (c: Checkpoint) (t: TensorInfo) =
    match c.StoredType t, t.DType.Name() with
    | stored, read when stored = read -> stored
    | stored, read -> $"{stored} as {read}"

let private text (facts: Facts) =
    let c = facts.Checkpoint
    let withNorms = facts.Norms.IsSome
    let withColumn = withNorms && facts.Adapter.IsNone
    let header = [ "tensor"; "dtype"; "shape"; "bytes" ] @ (if withColumn then [ "norm" ] else [])
    let rows =
        [ for t in c.Tensors ->
              [ Format.printable t.Name; kept c t; t.Shape.ToString(); string (c.StoredBytes t) ]
              @ (if withColumn then [ norm facts t |> Option.map Format.number |> Option.defaultValue "" ] else []) ]
    let table = Format.columns ([ false; false; false; true ] @ (if withColumn then [ true ] else [])) (header :: rows)
    let tensors n = if n = 1 then "1 tensor" else $"{n} tensors"
    let elements = c.Tensors |> Seq.sumBy _.Shape.Elements
    let bytes = c.Tensors |> Seq.sumBy c.StoredBytes
    let totals =
        [ $"{tensors c.Tensors.Count}, {elements} elements, {bytes} bytes ({Sizes.Text bytes})"
          match byType c with
          | [] | [ _ ] -> ()
          | types ->
              for stored, n, elements, bytes in types do
                  $"  {stored}: {tensors n}, {elements} elements, {bytes} bytes" ]
    let shards =
        match List.ofSeq c.Files with
        | [ _ ] -> []
        | files ->
            $"{files.Length} files"
            :: [ for i, file in List.indexed files do
                     let own = c.Tensors |> Seq.filter (fun t -> t.File = i)
                     $"  {Format.printable (Path.GetFileName file |> Unchecked.nonNull)}: {tensors (Seq.length own)}, {own |> Seq.sumBy c.StoredBytes} bytes" ]
    let metadata =
        if c.Described.Count = 0 then []
        else
            "metadata"
            :: [ for KeyValue(key, value) in c.Described |> Seq.sortBy _.Key |> Seq.filter (fun m -> not (Verification.IsRecord m.Key)) do
                     let lines = value.Split('\n')
                     $"  {Format.printable key}: {Format.printable lines[0]}"
                     for line in lines[1..] do
                         $"    {Format.printable line}" ]
    let notes = [ for note in notesOf c -> $"note: {Format.printable note}" ]
    let adapter = facts.Adapter |> Option.map (adapterText withNorms) |> Option.defaultValue []
    System.String.Join("\n", [ yield! table; ""; yield! totals; yield! shards; yield! adapter; yield! notes; yield! metadata ])

let private adapterJson (json: System.Text.Json.Utf8JsonWriter) (withNorms: bool) (adapter: Result<AdapterLayout, string>) =
    json.WriteStartObject "adapter"
    match adapter with
    | Result.Error message -> json.WriteString("fault", (message: string))
    | Ok layout ->
        match layout.Config with
        | null -> ()
        | c ->
            json.WriteNumber("r", c.Rank)
            json.WriteNumber("alpha", c.Alpha)
            json.WriteBoolean("rslora", c.IsStabilized)
            json.WriteString("base", (c.BaseName: string | null))
        json.WriteStartArray "modules"
        for m in layout.Modules do
            json.WriteStartObject()
            json.WriteString("name", m.Name)
            json.WriteNumber("rank", m.Rank)
            json.WritePropertyName "scale"
            Json.number json m.Scale
            if withNorms then
                json.WritePropertyName "norm"
                Json.number json (layout.NormOf m)
            json.WriteEndObject()
        json.WriteEndArray()
        json.WriteStartArray "full"
        layout.Replaced |> Seq.iter json.WriteStringValue
        json.WriteEndArray()
    json.WriteEndObject()

let private json (facts: Facts) =
    let c = facts.Checkpoint
    Json.line (fun json ->
        json.WriteString("path", c.Path)
        json.WriteStartArray "files"
        for file in c.Files do
            json.WriteStringValue file
        json.WriteEndArray()
        json.WriteStartArray "tensors"
        for t in c.Tensors do
            json.WriteStartObject()
            json.WriteString("name", t.Name)
            json.WriteString("dtype", t.DType.Name())
            if c.StoredType t <> t.DType.Name() then
                json.WriteString("stored", c.StoredType t)
            json.WriteStartArray "shape"
            for d in t.Shape.Dims do
                json.WriteNumberValue d
            json.WriteEndArray()
            json.WriteNumber("bytes", c.StoredBytes t)
            json.WriteNumber("file", t.File)
            match norm facts t with
            | Some v ->
                json.WritePropertyName "norm"
                Json.number json v
            | None -> ()
            json.WriteEndObject()
        json.WriteEndArray()
        json.WriteNumber("elements", c.Tensors |> Seq.sumBy _.Shape.Elements)
        json.WriteNumber("bytes", c.Tensors |> Seq.sumBy c.StoredBytes)
        facts.Adapter |> Option.iter (adapterJson json facts.Norms.IsSome)
        let notes = notesOf c
        if not notes.IsEmpty then
            json.WriteStartArray "notes"
            notes |> List.iter json.WriteStringValue
            json.WriteEndArray()
        json.WriteStartObject "metadata"
        for KeyValue(key, value) in c.Described |> Seq.sortBy _.Key do
            json.WriteString(key, value)
        json.WriteEndObject())

/// The norms, by the engine: `stats` is a table with a row for each tensor.
let private norms (host: Host) (report: Report) (options: EvaluatorOptions) (full: string) =
    let literal = full.Replace("\\", "\\\\").Replace("\"", "\\\"")
    use evaluator = new Evaluator(options)
    let found = evaluator.Check("<inspect>", host.Folder, $"stats(model(\"{literal}\"))")
    if report.Findings(evaluator.Texts, found, false) then
        let norms = Dictionary<string, float>()
        let take e =
            match e with
            | Event.Shown(_, [ Shown.Table t ]) ->
                let column = t.Columns |> List.findIndex ((=) "norm")
                for name, values in t.Rows do
                    norms[name] <- values[column]
            | e -> report.Event e
        evaluator.Run((fun e -> take e), host.Cancel) |> ignore
        Some norms
    else
        None

/// Prints what is in the checkpoint; faults are exceptions.
let run (host: Host) (report: Report) (options: EvaluatorOptions) (path: string) (withNorms: bool) =
    let path = AdapterLayout.FileOf(host.Full path)
    use checkpoint = Checkpoint.Open path
    let adapter = adapterOf checkpoint
    let show (found: Dictionary<string, float> option) =
        let facts = { Checkpoint = checkpoint; Adapter = adapter; Norms = found }
        report.Result(if report.Json then json facts else text facts)
        Exit.Done
    if withNorms && adapter.IsSome then
        // Factors alone say little: the norms are of the modules' changes.
        show (Some(Dictionary()))
    elif withNorms then
        match norms host report options path with
        | Some found -> show (Some found)
        | None -> Exit.Wrong
    else
        show None
