/// `stack`: from models, whole or some layers of them, to the model whose layers are theirs one after another.
module Tva.Dsl.Typing.Builtins.Stacks

open System
open System.Collections.Generic
open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

/// A part as it was written: the model, and what it is restricted to.
type private Part =
    { Argument: Argument
      Model: TensorValue
      Set: TensorSet
      Scopes: TensorScope list
      /// Its layers, in order.
      Layers: int list }

/// Takes restrictions off a value: what they leave, and of what.
let rec private peel (t: TensorValue) scopes =
    match t.Node.Op, t.Weight.Op with
    | Restrict s, Restrict w when s = w -> peel { t with Node = t.Node.Args[0]; Weight = t.Weight.Args[0] } (s :: scopes)
    | _ -> t, scopes

let rec private ranges scope =
    match scope with
    | Layers(a, b) -> [ a, b ]
    | Both(a, b)
    | Either(a, b) -> ranges a @ ranges b
    | Except a -> ranges a
    | _ -> []

let private layersOf (tensors: TensorInfo seq) = tensors |> Seq.map _.Layer |> Seq.filter (fun l -> l >= 0) |> Seq.distinct |> Seq.sort |> List.ofSeq

/// The layers that are meant, or what is wrong with them.
let private chosen (ctx: Context) (a: Argument) (set: TensorSet) scopes =
    let tensors = ctx.Program.SetTensors set
    let path = ctx.Program.Sources[set.Reference].Path
    let fail d =
        report ctx d
        None
    let inside (t: TensorInfo) = scopes |> List.forall (TensorScope.selects t.Name t.Layer)
    match layersOf tensors with
    | [] -> fail (FileDiagnostics.stackNoLayers path a.Span)
    | all ->
        let last = List.last all
        let beyond = scopes |> List.collect ranges |> List.tryFind (fun (from, upTo) -> from > last || upTo > last || from < 0)
        match beyond with
        | Some(from, upTo) -> fail (FileDiagnostics.stackBeyond $"layers({from}..{upTo})" path all.Head last a.Span)
        | None ->
            match tensors |> Seq.filter (fun t -> t.Layer >= 0 && inside t) |> layersOf with
            | [] -> fail (FileDiagnostics.stackNothing (quote a.Text) all.Head last a.Span)
            | layers ->
                match tensors |> Seq.tryFind (fun t -> List.contains t.Layer layers && not (inside t)) with
                | Some cut -> fail (FileDiagnostics.stackCuts (quote a.Text) cut.Layer cut.Name a.Span)
                | None -> Some layers

let private part (ctx: Context) (call: Call) (a: Argument) =
    match a.Value with
    | Value.Tensor whole ->
        let t, scopes = peel whole []
        match t.Set with
        | None -> None
        | Some set ->
            if wantModel ctx $"a part of `{call.Function}`" a.Span t then
                chosen ctx a set scopes |> Option.map (fun layers -> { Argument = a; Model = t; Set = set; Scopes = scopes; Layers = layers })
            else
                None
    | Value.Unknown _ -> None
    | v ->
        report ctx
            (Diagnostics.wrongKind $"`{call.Function}`" "Models, each whole or some layers of it" (describe ctx v) a.Span
                (Some "for instance `stack(m1[layers(0..11)], m2[layers(8..31)])`"))
        None

/// The shapes of what is alike in all layers.
let private shapes (tensors: TensorInfo seq) =
    tensors
    |> Seq.filter (fun t -> t.Layer >= 0)
    |> Seq.groupBy (fun t -> Stacking.pattern t.Name)
    |> Seq.map (fun (name, ts) -> name, ts |> Seq.map _.Shape |> Seq.distinct |> List.ofSeq)
    |> Map.ofSeq

/// Says where the layers of two models are not of one architecture; true where they are.
let private agree (ctx: Context) (first: TensorSet) (other: TensorSet) span =
    let p = ctx.Program
    if first.Reference = other.Reference then true
    else
        let a, b = shapes (p.SetTensors first), shapes (p.SetTensors other)
        let without (x: Map<string, Shape list>) (y: Map<string, Shape list>) = [ for KeyValue(name, _) in x do if not (y.ContainsKey name) then name ]
        let text (shapes: Shape list) = String.Join(" or ", shapes |> List.map string)
        let reshaped =
            [ for KeyValue(name, x) in a do
                  match b.TryFind name with
                  | Some y when not (x |> List.exists (fun s -> List.contains s y)) -> $"{name} {text x} against {text y}"
                  | _ -> () ]
        let missing, extra = without a b, without b a
        if b.IsEmpty || (missing.IsEmpty && extra.IsEmpty && reshaped.IsEmpty) then true
        else
            report ctx (FileDiagnostics.stackMismatch p.Sources[first.Reference].Path p.Sources[other.Reference].Path missing extra reshaped span)
            false

/// Two towers in one model would both be cut and renumbered: rarely what is meant.
let private warnOfSeries (ctx: Context) (parts: Part list) =
    for p in parts |> List.distinctBy _.Set.Reference do
        let tensors = ctx.Program.SetTensors p.Set
        match tensors |> Seq.filter (fun t -> t.Layer >= 0) |> Seq.map Passes.series |> Seq.distinct |> Seq.sort |> List.ofSeq with
        | _ :: _ :: _ as several -> report ctx (FileDiagnostics.stackSeries ctx.Program.Sources[p.Set.Reference].Path several p.Argument.Span)
        | _ -> ()

/// Tensors of a part as the stack lists them: stored as the part's results are.
let private listed (ctx: Context) (set: TensorSet) (renamed: (TensorInfo * string) list) =
    let checkpoint = ctx.Program.Sources[set.Reference].Checkpoint
    [ for t, name in renamed ->
          RenamedTensor(name, checkpoint, t, (match set.DType with Some d when t.DType.IsFloating() -> d | _ -> t.DType)) ]

let private build (ctx: Context) (call: Call) (parts: Part list) (outside: TensorValue) (outsideSet: TensorSet) =
    let p = ctx.Program
    let starts = (0, parts) ||> List.scan (fun at part -> at + part.Layers.Length)
    let renamed =
        List.zip parts (List.take parts.Length starts)
        |> List.map (fun (part, start) ->
            let place = part.Layers |> List.mapi (fun i layer -> layer, start + i) |> dict
            [ for t in p.SetTensors part.Set do
                  match place.TryGetValue t.Layer with
                  | true, layer -> t, Stacking.renumber t.Name layer
                  | _ -> () ])
    let others = [ for t in p.SetTensors outsideSet do if t.Layer < 0 then t, t.Name ]
    let key =
        let of' (set: TensorSet) (layers: int list) = $"{set.Reference} {(p.SetTensors set).Count} {set.DType} " + String.Join(",", layers)
        String.Join("|", [ for part in parts -> of' part.Set part.Layers ] @ [ of' outsideSet [] ])
    let text = p.TextOf call.Span
    let shown = if text.Length > 60 then text.Substring(0, 57) + "..." else text
    let stack =
        p.AddStack(key, parts |> List.collect _.Layers, shown, fun () ->
            let tensors = (List.zip parts renamed |> List.collect (fun (part, names) -> listed ctx part.Set names)) @ listed ctx outsideSet others
            new RenamedCheckpoint(shown, p.Sources[outsideSet.Reference].Checkpoint.Metadata, Array.ofList tensors))
    let rebuilt number reference names scope (a: Argument) (node: Node) =
        try
            Some(Stacking.rebuild p { Number = number; Stack = stack; Reference = reference; Renamed = names; Layers = scope } node)
        with LeavesLayers(_, what, help) ->
            report ctx (FileDiagnostics.stackLeaves (quote a.Text) what help a.Span)
            None
    // Sums are taken around the source that was made first, so these are made in the order of theirs: to the last bit, a part computes
    // what its own model would.
    let placed = (List.indexed (List.zip parts renamed) |> List.map (fun (i, (part, names)) -> i, part.Set.Reference, names, part.Model.Node)) @ [ -1, outsideSet.Reference, others, outside.Node ]
    for number, reference, names, source in
        [ for number, reference, names, node in placed do
              for n in reachable [ node ] do
                  if n.Op.IsSource then number, reference, names, n ]
        |> List.sortBy (fun (_, _, _, n) -> n.Id) do
        Stacking.rebuild p { Number = number; Stack = stack; Reference = reference; Renamed = names; Layers = Everything } source |> ignore
    let nodes =
        [ for i, (part, names, start) in List.indexed (List.zip3 parts renamed (List.take parts.Length starts)) do
              let scope = Layers(start, start + part.Layers.Length - 1)
              rebuilt i part.Set.Reference names scope part.Argument part.Model.Node |> Option.map (fun n -> scope, n)
          if not others.IsEmpty then
              let a = match call.Args[1] with Some a -> a | None -> parts.Head.Argument
              rebuilt -1 outsideSet.Reference others (Layers(-1, -1)) a outside.Node |> Option.map (fun n -> Everything, n) ]
    if nodes |> List.exists Option.isNone then Value.Unknown Kind.Model
    else
        let nodes = nodes |> List.map Option.get
        Value.Tensor
            { Node = (graph ctx).Make(Choose(List.map fst nodes), nodes |> List.map snd |> Array.ofList, call.Span)
              Weight = number ctx 1.0
              Set = Some { Reference = stack; DType = None } }

let private stack ctx (call: Call) =
    let arguments = Option.toList call.Args[0] @ call.Rest
    let parts = arguments |> List.map (part ctx call)
    let outside = if call.Args[1].IsSome then Call.model ctx call 1 "outside" else None
    if ctx.Abstract then
        Value.Tensor(ctx.Program.PlaceholderTensor 1.0)
    elif parts |> List.exists Option.isNone || (call.Args[1].IsSome && outside.IsNone) then
        Value.Unknown Kind.Model
    else
        let parts = parts |> List.map Option.get
        let model = outside |> Option.defaultValue parts.Head.Model
        let set = model.Set |> Option.get
        let fit = parts |> List.map (fun p -> agree ctx parts.Head.Set p.Set p.Argument.Span)
        let outsideFits = match call.Args[1] with Some a -> agree ctx parts.Head.Set set a.Span | None -> true
        if List.forall id fit && outsideFits then
            warnOfSeries ctx parts
            build ctx call parts model set
        else
            Value.Unknown Kind.Model

let all: Builtin list =
    [ { Name = "stack"; Group = "layers"
        Parameters = [ Call.required "part" Kind.Model; Call.optional "outside" Kind.Model "" ]
        Variadic = true
        Summary =
            "The Model whose layers are those of the parts one after another, numbered from 0. A part is a Model or some layers of one, `m[layers(8..31)]`; "
            + "it may be a merge, and scopes and schedules in it speak of its own layers. Tensors of no layer are those of the first part's model, or of `outside`."
        Example = "stack(model(\"zoo/base.safetensors\")[layers(0..2)], model(\"zoo/tasks/digits.safetensors\")[layers(1..3)])"
        Result = Kind.Model; Run = stack } ]
