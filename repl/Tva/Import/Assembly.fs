/// From configurations to a script: which merges there are, of which layers, in which order, and what is saved.
module Tva.Import.Assembly

open System
open System.Collections.Generic
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Syntax
open Tva.Import.Methods

/// Settings without their places, to compare them.
let private bare (p: Parameters) = p |> List.map (fun s -> s.Name, s.Cases |> List.map (fun c -> c.Filter, c.Numbers))

/// What is wrong with a merge's models; true where it can be made.
let private fits (report: Diagnostic -> unit) (m: Method) (c: Config) (origin: Reference option) (s: Slice) =
    let others = s.Sources |> List.filter (fun x -> Some x.Model <> origin)
    let wrong what help =
        report (ConfigDiagnostics.sense s.Span what help)
        false
    match s.Sources |> List.countBy _.Model |> List.tryFind (fun (_, n) -> n > 1) with
    | Some(twice, _) ->
        report (ConfigDiagnostics.sense twice.Span $"{twice} stands twice in one merge, and mergekit takes only one of them" "to repeat layers, write a slice for each")
        false
    | None ->
        let others = if m.Base = Member then s.Sources else others
        let count = others.Length
        let models n = if n = 1 then "one model" else $"{n} models"
        let besides = if m.Base = Required then " besides the base" else ""
        match m.Base, origin with
        | Required, None ->
            if not c.HasBase then
                report (ConfigDiagnostics.missing c.Span m.Name "base_model" "the model that the others are measured from")
            false
        | _ when count < m.Least -> wrong $"{m.Name} takes at least {models m.Least}{besides}, and here are {count}" "add models"
        | _ when count > m.Most ->
            let named = if m.Base = Required then $"; base_model is {origin.Value}" else ""
            wrong $"{m.Name} takes {models m.Most}{besides}, and here are {count}{named}" "leave out the others, or choose another method"
        | _ -> true

/// Settings that the method doesn't have, or has for all models alone.
let private checkNames (report: Diagnostic -> unit) (m: Method) (levels: Parameters list) (sources: Parameters list) =
    let own = m.Parameters |> List.map _.Name
    for s in List.concat sources |> List.distinctBy _.Span do
        if m.Parameters |> List.exists (fun p -> p.Name = s.Name && not p.PerModel) then
            report (ConfigDiagnostics.ignored s.Span $"`{s.Name}` has no effect at a model: it is one for all" "write it under the slice's or the document's `parameters`")
    for s in List.concat (levels @ sources) |> List.distinctBy _.Span do
        if List.contains s.Name own then ()
        elif List.contains s.Name parameterNames then
            report (ConfigDiagnostics.ignored s.Span $"{m.Name} has no `{s.Name}`: it has no effect" $"{m.Name} takes {Suggest.listing own}")
        else
            report (ConfigDiagnostics.key s.Span m.Name s.Name own)

/// Patterns for the tensors before the layers, which come from the first slice; those behind come from the last. None: there are none.
let private embeddings (script: Script) (reference: Reference) : string list option =
    let usual = [ "embed"; "wte"; "wpe" ]
    let shown = List.map (fun part -> Printer.quote $"*{part}*")
    match script.Tensors reference with
    | None -> Some(shown [ usual.Head ])
    | Some tensors ->
        let outside = tensors |> List.filter (fun (t: TensorInfo) -> t.Layer < 0)
        match usual |> List.filter (fun part -> outside |> List.exists (fun t -> t.Name.Contains part)) with
        | [] -> None
        | present -> Some(shown present)

/// `Layers`: how many the whole has, where that is known.
type private Piece = { Text: string; WholeText: string; Layers: int option; Slice: Slice }

/// The expression of a module.
let private ofModule (script: Script) (m: Method) (c: Config) (part: Module) (suffix: string) : string option =
    let origin (s: Slice) =
        match s.Base |> Option.orElse c.Base with
        // mergekit measures from a base that it has the tensors of.
        | Some b when m.Name = "multislerp" && not part.Whole && not (s.Sources |> List.exists (fun x -> x.Model = b)) -> None
        | b -> b
    let around (s: Slice) = [ s.Parameters; part.Parameters; c.Parameters ]
    let inputs (s: Slice) count cut suffix : Merge.Inputs =
        { Method = m; MethodSpan = c.MethodSpan; Sources = s.Sources; Base = origin s; Around = around s; LayerCount = count; Cut = cut; Suffix = suffix }
    checkNames script.Report m (part.Slices |> List.collect around) (part.Slices |> List.collect (fun s -> s.Sources |> List.map _.Parameters))
    if part.Whole then
        let s = part.Slices.Head
        let withBase =
            match c.Base with
            | Some b when not (s.Sources |> List.exists (fun x -> x.Model = b)) ->
                { s with Sources = s.Sources @ [ { Model = b; Layers = None; Parameters = []; Span = b.Span } ] }
            | _ -> s
        if fits script.Report m c c.Base withBase then Some(Merge.expression script (inputs withBase None false suffix)) else None
    else
    let layers (s: Slice) = s.Sources |> List.map _.Layers
    let complete = part.Slices |> List.forall (fun s -> not s.Sources.IsEmpty && layers s |> List.forall Option.isSome)
    let hasBase (s: Slice) =
        match origin s with
        | Some b when m.Base <> Member && not (s.Sources |> List.exists (fun x -> x.Model = b)) ->
            script.Report(ConfigDiagnostics.sense s.Span $"the base {b} is none of the slice's sources, and mergekit needs it there" "add it with its layer_range")
            false
        | _ -> true
    // All of them, so that each says what is wrong.
    let good = part.Slices |> List.map (fun s -> hasBase s && fits script.Report m c (origin s) s) |> List.forall id
    if not (complete && good) || part.Slices.IsEmpty then None
    else
    let first, last = part.Slices.Head, List.last part.Slices
    let cut (a, b) = if b = a + 1 then $"layers({a})" else $"layers({a}..{b - 1})"
    let rangeOf (s: Slice) = s.Sources.Head.Layers.Value
    let straight =
        part.Slices |> List.forall (fun s -> layers s |> List.distinct |> List.length = 1)
        && fst (rangeOf first) = 0
        && part.Slices |> List.pairwise |> List.forall (fun (a, b) -> snd (rangeOf a) = fst (rangeOf b))
    let alike (a: Slice) (b: Slice) =
        (a.Sources |> List.map (fun s -> s.Model, bare s.Parameters)) = (b.Sources |> List.map (fun s -> s.Model, bare s.Parameters))
        && bare a.Parameters = bare b.Parameters
        && origin a = origin b
    let gradients =
        List.concat [ c.Parameters; part.Parameters; first.Parameters; yield! first.Sources |> List.map _.Parameters ]
        |> List.exists (fun s -> s.Cases |> List.exists (fun k -> k.Numbers |> List.distinct |> List.length > 1))
    let total = snd (rangeOf last)
    let counts = first.Sources |> List.choose (fun s -> script.LayerCount s.Model) |> List.distinct
    if straight && (part.Slices.Length = 1 || not gradients && part.Slices |> List.forall (alike first)) && counts |> List.forall ((=) total) then
        if counts.IsEmpty then
            script.Report(
                ConfigDiagnostics.assumed first.Span $"layers 0 to {total - 1} are taken to be all layers of the models, which are not here to ask"
                    $"if they have more, write `stack(model[layers(0..{total - 1})])` for each")
            script.Comment $"layers 0 to {total - 1} are taken to be all layers of the models"
        Some(Merge.expression script (inputs first (Some total) false suffix))
    else
    // By layer numbers the tensors of a cut are called otherwise than those of the model.
    for s in part.Slices do
        for p in List.concat (around s @ (s.Sources |> List.map _.Parameters)) |> List.distinctBy _.Span do
            for case in p.Cases do
                match case.Filter with
                | Some f when f |> Seq.exists Char.IsDigit ->
                    script.Inexpressible(case.Span, $"the filter `{f}` may mean a layer's number, and layers are numbered anew within a slice", "give the slice its own value instead")
                | _ -> ()
    let number = Dictionary<Slice, int>(HashIdentity.Reference)
    let pieces =
        part.Slices |> List.mapi (fun k s ->
            let (a, b) as range = rangeOf s
            let scaled =
                m.Name = "passthrough"
                && (Coefficients.resolve ignore (s.Sources.Head.Parameters :: around s) "scale" (Some 1.0)).Value |> Coefficients.known <> Some 1.0
            if m.Name = "passthrough" && not scaled then
                let name = script.Model s.Sources.Head.Model
                { Text = $"{name}[{cut range}]"; WholeText = name; Layers = script.LayerCount s.Sources.Head.Model; Slice = s }
            else
                let text = Merge.expression script (inputs s (Some(b - a)) true $"{suffix}_{k + 1}")
                let name = script.Names.Fresh $"slice{suffix}_{k + 1}"
                script.Add $"{name} = {text}"
                { Text = name; WholeText = name; Layers = Some(b - a); Slice = s })
    let parts = pieces |> List.map _.Text
    let head, tail = pieces.Head, List.last pieces
    let outside =
        if head.WholeText = tail.WholeText || alike head.Slice tail.Slice then []
        else
            script.Comment "embeddings are the first slice's, the final norm and the head the last one's, as in mergekit"
            match embeddings script head.Slice.Sources.Head.Model with
            | None -> [ $"outside = {tail.WholeText}" ]
            | Some globs ->
                let glob = String.Join(" or ", globs)
                let not' = if globs.Length > 1 then $"not ({glob})" else $"not {glob}"
                // Of unequal numbers of layers, two add up once they are cut to one.
                let one (p: Piece) = if head.Layers = tail.Layers then p.WholeText else $"stack({p.WholeText}[layers(0)])"
                [ $"outside = {one head}[{glob}] + {one tail}[{not'}]" ]
    let arguments = parts @ outside
    let oneLine = "stack(" + String.Join(", ", arguments) + ")"
    Some(if oneLine.Length <= 100 then oneLine else "stack(\n" + String.Join(",\n", arguments |> List.map (fun a -> "  " + a)) + "\n)")

/// The documents in an order in which each stands behind those it goes on with.
let private ordered (report: Diagnostic -> unit) (configs: Config list) =
    let uses (c: Config) =
        [ yield! Option.toList c.Base
          for m in c.Modules do
              for s in m.Slices do
                  yield! Option.toList s.Base
                  for x in s.Sources do x.Model ]
        |> List.map _.Model.Path
        |> set
    let names = configs |> List.choose _.Name |> set
    let done' = HashSet<string>()
    let rec go (left: Config list) (out: Config list) =
        match left |> List.partition (fun c -> Set.intersect (uses c) names |> Set.forall done'.Contains) with
        | _, [] when left.IsEmpty -> List.rev out
        | [], stuck ->
            for c in stuck do
                report (ConfigDiagnostics.sense c.Span "the merges need each other in a circle" "name each and go on only with earlier ones")
            List.rev out
        | ready, rest ->
            for c in ready do
                Option.iter (done'.Add >> ignore) c.Name
            go rest (List.rev ready @ out)
    go configs [], (fun (name: string) -> configs |> List.exists (fun c -> (uses c).Contains name))

let private vocabulary (script: Script) (c: Config) =
    for key, span in c.Vocabulary do
        let help =
            if key = "chat_template" then "TVA writes tensors; set the template where the tokenizer's files go"
            else "rows are taken as they stand, and a folder gets the first model's tokenizer; where tokens have other rows, `vocab = \"by-token\"` of `family` takes them by token"
        script.Inexpressible(span, $"`{key}` is not carried over", help)

/// The script of some configurations, saved under `target`.
let script (file: string) (folders: Folders) (report: Diagnostic -> unit) (target: string) (configs: Config list) : string =
    let script = Script(folders, report)
    let configs, isUsed = ordered report configs
    match configs |> List.countBy _.Name |> List.tryFind (fun (_, n) -> n > 1) with
    | Some(name, _) ->
        let twice = (configs |> List.filter (fun c -> c.Name = name) |> List.last).Span
        match name with
        | Some name -> report (ConfigDiagnostics.sense twice $"two documents are called `{name}`" "give each a name of its own")
        | None -> report (ConfigDiagnostics.sense twice "two documents have no name" "name all but the last: `name: first-merge`")
    | None -> ()
    let bases = configs |> List.choose _.Base |> List.distinct
    // The base goes first and is called so where there is one.
    match bases with
    | [ one ] when one.Lora.IsNone && not (configs |> List.exists (fun c -> c.Name = Some one.Model.Path)) -> script.Model(one, "base") |> ignore
    | _ -> ()
    for c in configs do
        match Methods.find c.Method with
        | None -> report (ConfigDiagnostics.choice c.MethodSpan "merge method" c.Method Methods.names)
        | Some m ->
            script.Blank()
            vocabulary script c
            let suffix = match c.Name with Some n when configs.Length > 1 -> "_" + n | _ -> ""
            let expressions =
                c.Modules |> List.choose (fun part ->
                    let suffix = if c.Modules.Length > 1 then $"{suffix}_{part.Name}" else suffix
                    ofModule script m c part suffix |> Option.map (fun e -> part, e))
            let merged =
                match expressions with
                | [ _, one ] -> Some one
                | [] -> None
                | several ->
                    script.Inexpressible(
                        c.Modules.Head.Span,
                        "modules are taken to be the tensors whose names begin with theirs; the first has the rest",
                        "in mergekit the architecture says which tensors a module has; see that the globs fit: tva check")
                    let named =
                        several |> List.map (fun (part, e) ->
                            let name = script.Names.Fresh part.Name
                            script.Add $"{name} = {e}"
                            name, Printer.quote $"{part.Name}.*")
                    let rest = String.Join(" or ", named.Tail |> List.map snd)
                    let first = fst named.Head + (if named.Tail.Length = 1 then $"[not {rest}]" else $"[not ({rest})]")
                    Some(String.Join(" + ", first :: (named.Tail |> List.map (fun (name, glob) -> $"{name}[{glob}]"))))
            match merged with
            | None -> ()
            | Some e ->
                let name = script.Names.Fresh(defaultArg c.Name "merged")
                script.Add $"{name} = {e}"
                Option.iter (fun n -> script.Define(n, name)) c.Name
                match c.Name with
                | Some n when isUsed n -> ()
                | _ ->
                    let stem = match c.Name with Some n when configs.Length > 1 -> n | _ -> target
                    // mergekit writes a folder, in shards of this size.
                    let path, shard = if script.ReadsFolders then stem, ", shard = \"5GB\"" else stem + ".safetensors", ""
                    let dtype = match c.OutDType |> Option.orElse c.DType with Some d -> $", dtype = \"{d}\"" | None -> ""
                    script.Add $"{name} |> save({Printer.quote path}{shard}{dtype})"
    let narrow = configs |> List.exists (fun c -> c.DType |> Option.exists (fun d -> d <> "f32"))
    script.Text
        [ $"Made by tva import from mergekit's {file}."
          if narrow then
              "mergekit computes in `dtype`; here all is computed in float32 and rounded once, when saved." ]
