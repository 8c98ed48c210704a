/// Comes in: a path. Goes out: the source it is, or the task vector over a base; mistakes are reported at the path.
module Tva.Dsl.Typing.Builtins.Opening

open Tva.Core
open Tva.Core.Adapters
open Tva.Core.Bases
open Tva.Core.Checkpoints
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

/// Whether the script itself writes there: then what is there now is of an earlier run.
let isWritten (ctx: Context) span (path: string) =
    let target = fullPath ctx path
    let isWritten =
        ctx.Program.Effects |> Seq.exists (function
            | Effect.Save(_, other, _, _, _)
            | Effect.SaveBasis(_, other, _, _, _)
            | Effect.SaveAdapter(_, other, _, _, _, _) -> other = target || isWithin other target
            | _ -> false)
    if isWritten then
        report ctx (FileDiagnostics.readsOutput path span)
    isWritten

let openSource (ctx: Context) span (path: string) =
    let p = ctx.Program
    try
        if isWritten ctx span path || not (mayRead ctx span path) then None
        elif (p.Surroundings.InMemory path).IsSome then
            match p.Surroundings.InMemory path |> Option.bind p.Surroundings.Variables.TryFind with
            | Some checkpoint ->
                p.Surroundings.InMemory path |> Option.iter (p.Called.Add >> ignore)
                Some(p.Add(checkpoint, path))
            | None ->
                report ctx (FileDiagnostics.notInMemory path (List.ofSeq p.Surroundings.Variables.Keys) span)
                None
        elif BasisFolder.IsBasis(fullPath ctx path) then
            report ctx (FileDiagnostics.isBasis path span)
            None
        else
            let known = p.Sources.Count
            let i = p.Open(AdapterLayout.FileOf(fullPath ctx path), path)
            if i = known then
                Vocabularies.tieOnce p i span
            Some i
    with :? FaultException as e ->
        report ctx (FileDiagnostics.cannotOpen e.Message span)
        None

/// The source at a path with `prefix` taken off the names that begin with it.
let openNamed (ctx: Context) span (path: string) (prefix: string) =
    let p = ctx.Program
    match openSource ctx span path with
    | Some i when prefix <> "" && not (AdapterLayout.IsAdapter p.Sources[i].Checkpoint) ->
        let checkpoint = p.Sources[i].Checkpoint
        let names = [ for t in checkpoint.Tensors -> t, (if t.Name.StartsWith(prefix, System.StringComparison.Ordinal) then t.Name.Substring prefix.Length else t.Name) ]
        match names |> List.countBy snd |> List.tryFind (fun (name, n) -> n > 1 || name = "") with
        | _ when names |> List.forall (fun (t, name) -> t.Name = name) ->
            report ctx (FileDiagnostics.noPrefix path prefix (checkpoint.Tensors |> Seq.map _.Name) span)
            None
        | Some(name, _) ->
            report ctx (FileDiagnostics.prefixJoins path prefix name span)
            None
        | None ->
            Some(p.Add(new RenamedCheckpoint(checkpoint.Path, checkpoint.Metadata, [| for t, name in names -> RenamedTensor(name, checkpoint, t, t.DType) |]), path))
    | opened -> opened

let sourceNode (ctx: Context) span i = (graph ctx).Make(Op.Source i, [||], span)

/// A low-rank adapter over the base; zero wherever it has no factors.
let private adapter (ctx: Context) span (path: string) (set: TensorSet) (file: int) extra =
    let p = ctx.Program
    try
        let over () = AdapterCheckpoint.Over(AdapterLayout.Read p.Sources[file].Checkpoint, p.Sources[set.Reference].Checkpoint)
        let bound = over ()
        let checkpoint = if extra <> "drop" && Vocabularies.untieFor p set.Reference path (List.ofSeq bound.Unplaced) then over () else bound
        let origin = p.Sources[set.Reference]
        let unplaced = List.ofSeq checkpoint.Unplaced
        if checkpoint.Tensors.Count = 0 then
            report ctx (FileDiagnostics.adapterElsewhere origin.Path path unplaced span)
            None
        elif not unplaced.IsEmpty && extra <> "drop" then
            report ctx (FileDiagnostics.adapterModules origin.Path path unplaced span)
            None
        else
            let i = p.Add(checkpoint, path)
            p.Vectors.Add i |> ignore
            p.Origins[i] <- set.Reference
            let names = [ for t in p.Sources[i].Checkpoint.Tensors -> t.Name ]
            Some { Node = (graph ctx).Make(Restrict(Names names), [| sourceNode ctx span i |], span); Weight = number ctx 0.0; Set = Some set }
    with :? FaultException as e ->
        report ctx (FileDiagnostics.cannotOpen e.Message span)
        None

/// Whether the file says that it holds a task vector.
let isVector (p: Program) (source: int) =
    match p.Sources[source].Checkpoint.Metadata.TryGetValue "tva.kind" with
    | true, kind -> kind = "delta"
    | _ -> false

let vocabularies = [ "by-row"; "by-token" ]

/// The source with its rows over the vocabulary where the base has the same tokens; a note says which tokens that leaves out.
let private byToken (ctx: Context) span (path: string) (b: TensorValue) (set: TensorSet) (source: int) =
    let p = ctx.Program
    if (simplify ctx b.Node).Op <> Op.Source set.Reference then
        report ctx (FileDiagnostics.rowsOfExpression span)
        None
    elif source = set.Reference then Some source
    else
        try
            Some(Vocabularies.byToken p source set.Reference (isVector p source))
        with :? FaultException as e ->
            report ctx (FileDiagnostics.cannotOpen e.Message span)
            None

/// The model at `path` minus `b`; a file that holds a task vector is taken as it is, and so is a low-rank adapter.
let deltaOf (ctx: Context) span (path: string) (b: TensorValue) missing extra vocabulary prefix =
    match openNamed ctx span path prefix, b.Set with
    | Some i, Some set when AdapterLayout.IsAdapter ctx.Program.Sources[i].Checkpoint -> adapter ctx span path set i extra
    | Some i, Some set ->
        let p = ctx.Program
        Vocabularies.untie p set.Reference i
        if extra <> "drop" then
            Vocabularies.untie p i set.Reference
        match (if vocabulary = "by-token" then byToken ctx span path b set i else Some i) with
        | None -> None
        | Some i ->
        let gone, more, reshaped = p.Mismatches(set.Reference, i)
        if gone.Length = (p.SetTensors set).Count then
            report ctx (FileDiagnostics.nothingInCommon p.Sources[set.Reference].Path path gone more span)
            None
        else
        let gone' = if missing = "zero" then [] else gone
        let more' = if extra = "drop" then [] else more
        if gone'.IsEmpty && more'.IsEmpty && reshaped.IsEmpty then
            if vocabulary <> "by-token" then
                Vocabularies.warnOfRows p set.Reference i span
            let source = sourceNode ctx span i
            let isDelta = isVector p i
            if isDelta then
                p.Vectors.Add i |> ignore
            let difference = if isDelta then source else apply ctx "sub" span [| source; b.Node |]
            let node =
                if gone.IsEmpty then difference
                else
                    let c = p.Sources[i].Checkpoint
                    let names = [ for t in p.SetTensors set do if not (isNull (box (c.Find t.Name))) then t.Name ]
                    (graph ctx).Make(Restrict(Names names), [| difference |], span)
            Some { Node = node; Weight = number ctx 0.0; Set = Some set }
        else
            let help =
                if gone'.IsEmpty && more'.IsEmpty && Vocabularies.differByRows p set.Reference i then FileDiagnostics.byTokenHelp
                else "`delta(path, base, missing = \"zero\", extra = \"drop\")` says otherwise; shapes must agree"
            report ctx (FileDiagnostics.mismatch p.Sources[set.Reference].Path path gone' more' reshaped (Some help) span)
            None
    | Some _, None -> Some(ctx.Program.PlaceholderTensor 0.0)
    | None, _ -> None
