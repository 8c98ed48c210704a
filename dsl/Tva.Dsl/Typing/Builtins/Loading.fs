/// `model`, `delta`, `family`, `zeros`, `raw`, `point`: from paths and points to tensors.
module Tva.Dsl.Typing.Builtins.Loading

open System
open System.IO
open Tva.Core
open Tva.Core.Adapters
open Tva.Core.Bases
open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Syntax
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

let private full = fullPath

/// Whether the script itself writes there: then what is there now is of an earlier run.
let private isWritten (ctx: Context) span (path: string) =
    let target = full ctx path
    let isWritten =
        ctx.Program.Effects |> Seq.exists (function
            | Effect.Save(_, other, _, _, _)
            | Effect.SaveBasis(_, other, _, _, _)
            | Effect.SaveAdapter(_, other, _, _, _, _) -> other = target || target.StartsWith(other + string Path.DirectorySeparatorChar)
            | _ -> false)
    if isWritten then
        report ctx (Diagnostics.readsOutput path span)
    isWritten

let private openSource (ctx: Context) span (path: string) =
    let p = ctx.Program
    try
        if isWritten ctx span path || not (mayRead ctx span path) then None
        elif (p.Surroundings.InMemory path).IsSome then
            match p.Surroundings.InMemory path |> Option.bind p.Surroundings.Variables.TryFind with
            | Some checkpoint -> Some(p.Add(checkpoint, path))
            | None ->
                report ctx (Diagnostics.notInMemory path (List.ofSeq p.Surroundings.Variables.Keys) span)
                None
        elif BasisFolder.IsBasis(full ctx path) then
            report ctx (Diagnostics.isBasis path span)
            None
        else
            let known = p.Sources.Count
            let i = p.Open(AdapterLayout.FileOf(full ctx path), path)
            if i = known then
                Vocabularies.tieOnce p i span
            Some i
    with :? FaultException as e ->
        report ctx (Diagnostics.cannotOpen e.Message span)
        None

let private sourceNode (ctx: Context) span i = (graph ctx).Make(Op.Source i, [||], span)

let private parseDType ctx (call: Call) i =
    match call.Args[i] with
    | None -> Some None
    | Some a ->
        match a.Value with
        | Value.Text name ->
            match DTypes.TryParse name with
            | true, t when t.IsFloating() -> Some(Some t)
            | _ ->
                report ctx (Diagnostics.unknownDType name a.Span)
                None
        | Value.Unknown _ -> Some None
        | v ->
            report ctx (Diagnostics.wrongKind "`dtype`" "a Text" (describe ctx v) a.Span None)
            None

let dtypeOf = parseDType

/// Whether a file says of itself that it holds a task vector.
let private isVector (p: Program) (source: int) =
    match p.Sources[source].Checkpoint.Metadata.TryGetValue "tva.kind" with
    | true, kind -> kind = "delta"
    | _ -> false

let private model ctx (call: Call) =
    match Call.text ctx call 0 "path" "", parseDType ctx call 1 with
    | Some path, Some dtype when not ctx.Abstract || path <> "" ->
        match openSource ctx call.Args[0].Value.Span path with
        | Some i when AdapterLayout.IsAdapter ctx.Program.Sources[i].Checkpoint ->
            report ctx (Diagnostics.isAdapter path call.Args[0].Value.Span)
            Value.Unknown Kind.Model
        | Some i when isVector ctx.Program i ->
            report ctx (Diagnostics.isTaskVector path call.Args[0].Value.Span)
            Value.Unknown Kind.Model
        | Some i ->
            ctx.Program.Models.Add i |> ignore
            Value.Tensor
                { Node = sourceNode ctx call.Span i
                  Weight = number ctx 1.0
                  Set = Some { Reference = i; DType = dtype } }
        | None -> Value.Unknown Kind.Model
    | _ -> Value.Unknown Kind.Model

/// A low-rank adapter over the base; zero wherever it has no factors.
let private adapter (ctx: Context) span (path: string) (set: TensorSet) (file: int) extra =
    let p = ctx.Program
    try
        let origin = p.Sources[set.Reference]
        let checkpoint = AdapterCheckpoint.Over(AdapterLayout.Read p.Sources[file].Checkpoint, origin.Checkpoint)
        let unplaced = List.ofSeq checkpoint.Unplaced
        if checkpoint.Tensors.Count = 0 then
            report ctx (Diagnostics.adapterElsewhere origin.Path path unplaced span)
            None
        elif not unplaced.IsEmpty && extra <> "drop" then
            report ctx (Diagnostics.adapterModules origin.Path path unplaced span)
            None
        else
            let i = p.Add(checkpoint, path)
            p.Vectors.Add i |> ignore
            p.Origins[i] <- set.Reference
            let names = [ for t in p.Sources[i].Checkpoint.Tensors -> t.Name ]
            Some { Node = (graph ctx).Make(Restrict(Names names), [| sourceNode ctx span i |], span); Weight = number ctx 0.0; Set = Some set }
    with :? FaultException as e ->
        report ctx (Diagnostics.cannotOpen e.Message span)
        None

let private vocabularies = [ "by-row"; "by-token" ]

/// The source with its rows over the vocabulary where the base has the same tokens; a note says which tokens that leaves out.
let private byToken (ctx: Context) span (path: string) (b: TensorValue) (set: TensorSet) (source: int) =
    let p = ctx.Program
    if (simplify ctx b.Node).Op <> Op.Source set.Reference then
        report ctx (Diagnostics.rowsOfExpression span)
        None
    elif source = set.Reference then Some source
    else
        try
            Some(Vocabularies.byToken p source set.Reference (isVector p source))
        with :? FaultException as e ->
            report ctx (Diagnostics.cannotOpen e.Message span)
            None

/// The model at `path` minus `b`; a file that holds a task vector is taken as it is, and so is a low-rank adapter.
let private deltaOf (ctx: Context) span (path: string) (b: TensorValue) missing extra vocabulary =
    match openSource ctx span path, b.Set with
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
            report ctx (Diagnostics.nothingInCommon p.Sources[set.Reference].Path path span)
            None
        else
        let gone' = if missing = "zero" then [] else gone
        let more' = if extra = "drop" then [] else more
        if gone'.IsEmpty && more'.IsEmpty && reshaped.IsEmpty then
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
                if gone'.IsEmpty && more'.IsEmpty && Vocabularies.differByRows p set.Reference i then Diagnostics.byTokenHelp
                else "`delta(path, base, missing = \"zero\", extra = \"drop\")` says otherwise; shapes must agree"
            report ctx (Diagnostics.mismatch p.Sources[set.Reference].Path path gone' more' reshaped (Some help) span)
            None
    | Some _, None -> Some(ctx.Program.PlaceholderTensor 0.0)
    | None, _ -> None

let private delta ctx (call: Call) =
    match Call.text ctx call 0 "path" "",
          Call.model ctx call 1 "base",
          Call.choice ctx call 2 "missing" [ "error"; "zero" ] "error",
          Call.choice ctx call 3 "extra" [ "error"; "drop" ] "error",
          Call.choice ctx call 4 "vocab" vocabularies "by-row" with
    | Some path, Some b, Some missing, Some extra, Some vocabulary ->
        match deltaOf ctx call.Args[0].Value.Span path b missing extra vocabulary with
        | Some t -> Value.Tensor t
        | None -> Value.Unknown Kind.Delta
    | _ -> Value.Unknown Kind.Delta

/// Files and checkpoint folders that match a glob (`*`, `?` within a name, `**` any folders), sorted by name. Folders that may not be
/// entered are passed over.
let expandGlob (mayEnter: string -> bool) (folder: string) (pattern: string) =
    let pattern = pattern.Replace('\\', '/')
    let rec walk (dir: string) (parts: string list) =
        match parts with
        | [] -> if File.Exists dir || Directory.Exists dir then [ dir ] else []
        | part :: _ when part.AsSpan().IndexOfAny('*', '?') >= 0 && not (mayEnter dir) -> []
        | "**" :: rest ->
            let below = if Directory.Exists dir then Directory.GetDirectories dir |> List.ofArray |> List.sortWith (fun a b -> String.CompareOrdinal(a, b)) else []
            walk dir rest @ (below |> List.collect (fun d -> walk d parts))
        | part :: rest when part.AsSpan().IndexOfAny('*', '?') >= 0 ->
            if Directory.Exists dir then
                Directory.GetFileSystemEntries dir
                |> Array.filter (fun e -> TensorScope.selects (string (Path.GetFileName e)) -1 (TensorScope.Glob part))
                // As in a shell, what begins with a dot is not meant.
                |> Array.filter (fun e -> part[0] = '.' || not ((string (Path.GetFileName e)).StartsWith '.'))
                |> Array.filter (fun e -> not (e.EndsWith ".partial"))
                |> Array.sortWith (fun a b -> String.CompareOrdinal(a, b))
                |> List.ofArray
                |> List.collect (fun e -> walk e rest)
            else
                []
        | part :: rest -> walk (Path.Combine(dir, part)) rest
    let root, relative =
        match Path.GetPathRoot pattern with
        | null
        | "" -> folder, pattern
        | root -> root, pattern.Substring root.Length
    walk root (relative.Split('/', StringSplitOptions.RemoveEmptyEntries) |> List.ofArray) |> List.distinct

/// A member's name: the file's without extension, or the folder's.
let private stem (path: string) =
    let name = string (Path.GetFileName(Path.TrimEndingDirectorySeparator path))
    if path.StartsWith MemoryCheckpoint.Scheme then path.Substring MemoryCheckpoint.Scheme.Length
    elif Directory.Exists path then name
    else
        match name.LastIndexOf '.' with
        | -1 -> name
        | dot -> name.Substring(0, dot)

/// A path as the user would write it: relative to the folder where the pattern was.
let private shown (ctx: Context) (pattern: string) (path: string) =
    if Path.IsPathRooted pattern then path else Path.GetRelativePath(ctx.Folder, path).Replace('\\', '/')

let private checkNames ctx span (members: (string * TensorValue) list) =
    match members |> List.countBy fst |> List.tryFind (fun (_, n) -> n > 1) with
    | Some(name, _) ->
        report ctx (Diagnostics.sameName name span)
        Value.Unknown Kind.Family
    | None -> Value.Family members

/// A basis from its folder: its atoms as sources, its coefficients as they are.
let private stored (ctx: Context) span (path: string) (b: TensorValue) =
    let p = ctx.Program
    try
        match b.Set with
        | None -> Value.Unknown Kind.Basis
        | Some set ->
            let basis = BasisFolder.Open(full ctx path)
            let reference = p.Sources[set.Reference]
            let sources = [ for c in Seq.append basis.Atoms (Option.toList (Option.ofObj basis.Mean)) -> p.Add(c, path) ]
            let wrong =
                sources |> List.tryPick (fun i ->
                    let missing, extra, reshaped = p.FloatingMismatches(set.Reference, i)
                    if missing.IsEmpty && extra.IsEmpty && reshaped.IsEmpty then None else Some(missing, extra, reshaped))
            match wrong with
            | _ when basis.BaseFingerprint <> null && basis.BaseFingerprint <> reference.Checkpoint.Fingerprint ->
                report ctx (Diagnostics.otherBase path reference.Path (string basis.BasePath) span)
                Value.Unknown Kind.Basis
            | Some(missing, extra, reshaped) ->
                report ctx (Diagnostics.mismatch reference.Path path missing extra reshaped None span)
                Value.Unknown Kind.Basis
            | None ->
                p.Vectors.UnionWith sources
                let atoms = sources |> List.map (fun i -> { Node = sourceNode ctx span i; Weight = number ctx 0.0; Set = Some set })
                Bases.ofStored ctx span set basis atoms
    with :? FaultException as e ->
        report ctx (Diagnostics.cannotOpen e.Message span)
        Value.Unknown Kind.Basis

/// What of a glob is plain: the folders before the first wildcard.
let private fixedPart (pattern: string) =
    match pattern.AsSpan().IndexOfAny('*', '?') with
    | -1 -> pattern
    | i ->
        match pattern.Substring(0, i).LastIndexOfAny [| '/'; '\\' |] with
        | -1 -> "."
        | slash -> pattern.Substring(0, max 1 slash)

/// Whether the host lets a text look where a glob begins; reports it where not.
let private mayLook (ctx: Context) span (pattern: string) =
    let s = ctx.Program.Surroundings
    let isAllowed = (s.InMemory pattern).IsSome || s.MayEnter(full ctx (fixedPart pattern))
    if not isAllowed then
        report ctx (Diagnostics.outsideFolders "reading" pattern s.Folders.Value.Read span)
    isAllowed

let private family ctx (call: Call) =
    let args = (call.Args[0] |> Option.toList) @ call.Rest
    let deltas = args |> List.choose (fun a -> match a.Value with Value.Tensor _ -> Some a | _ -> None)
    let unknownArgument = args |> List.exists (fun a -> a.Value.IsUnknown)
    let vocabulary = Call.choice ctx call 1 "vocab" vocabularies "by-row"
    match args with
    | _ when unknownArgument || vocabulary.IsNone -> Value.Unknown Kind.Family
    | [ { Value = FamilyLike _ } as f ] -> f.Value
    | first :: _ when first.Value.IsTensor && deltas.Length = args.Length ->
        // family(A, B, ...): members are named as the arguments are.
        let named =
            args
            |> List.mapi (fun i a ->
                let simple = a.Text <> "" && Seq.forall (fun c -> Char.IsLetterOrDigit c || c = '_') a.Text
                let afterDot = a.Text.Split('.') |> Array.last
                let name = if simple then a.Text elif Seq.forall (fun c -> Char.IsLetterOrDigit c || c = '_') afterDot && afterDot <> "" && not (Char.IsDigit afterDot[0]) then afterDot else $"m{i + 1}"
                match a.Value with
                | Value.Tensor t when wantDelta ctx "`family`" a.Span t -> Some(name, t)
                | _ -> None)
        if named |> List.forall Option.isSome then
            let members = named |> List.map Option.get
            for (_, t) in members.Tail do
                joinSets ctx call.Span (snd members.Head) t |> ignore
            checkNames ctx call.Span members
        else
            Value.Unknown Kind.Family
    | [ { Value = Value.Text path } as what; _ ] when isWritten ctx what.Span path || not (mayLook ctx what.Span path) -> Value.Unknown Kind.Family
    | [ { Value = Value.Text path } as what; b ] when BasisFolder.IsBasis(full ctx path) && mayRead ctx what.Span path ->
        match b.Value with
        | Value.Tensor baseModel when wantModel ctx "`base` of `family`" b.Span baseModel -> stored ctx what.Span path baseModel
        | Value.Tensor _ -> Value.Unknown Kind.Basis
        | v ->
            if not v.IsUnknown then
                report ctx (Diagnostics.wrongKind "`base` of `family`" "a Model" (describe ctx v) b.Span None)
            Value.Unknown Kind.Basis
    | [ what; b ] ->
        match b.Value with
        | Value.Tensor baseModel when wantModel ctx "`base` of `family`" b.Span baseModel ->
            let fromPath name path =
                match deltaOf ctx what.Span path baseModel "error" "error" vocabulary.Value with
                | Some t ->
                    if (simplify ctx t.Node).Op = Const 0.0 then
                        report ctx (Diagnostics.baseAmongMembers name what.Span)
                    Some(name, t)
                | None -> None
            let entries =
                match what.Value with
                | Value.Text pattern ->
                    let paths = expandGlob (Path.GetFullPath >> ctx.Program.Surroundings.MayEnter) ctx.Folder pattern
                    if paths.IsEmpty then
                        report ctx (Diagnostics.noMatch pattern ctx.Folder what.Span)
                    paths |> List.map (fun p -> fromPath (stem p) (shown ctx pattern p))
                | Value.List items ->
                    items
                    |> List.mapi (fun i item ->
                        match item with
                        | Value.Text path -> fromPath (stem (full ctx path)) path
                        | Value.Tensor t when wantDelta ctx "`family`" what.Span t -> Some($"m{i + 1}", t)
                        | Value.Tensor _
                        | Value.Unknown _ -> None
                        | v ->
                            report ctx (Diagnostics.wrongKind "`family`" "paths or Deltas" (describe ctx v) what.Span None)
                            None)
                | Value.Record entries ->
                    entries
                    |> List.map (fun (key, value) ->
                        let name =
                            match key with
                            | Key k
                            | Glob k -> k.Text
                            | Else _ -> "else"
                        match value with
                        | Value.Text path -> fromPath name path
                        | Value.Tensor t when wantDelta ctx "`family`" what.Span t -> Some(name, t)
                        | Value.Tensor _
                        | Value.Unknown _ -> None
                        | v ->
                            report ctx (Diagnostics.wrongKind "`family`" "paths or Deltas" (describe ctx v) what.Span None)
                            None)
                | v ->
                    report ctx
                        (Diagnostics.wrongKind "`family`" "a glob, a list, a record or Deltas" (describe ctx v) what.Span None)
                    []
            if entries.IsEmpty || entries |> List.exists Option.isNone then Value.Unknown Kind.Family
            else checkNames ctx what.Span (entries |> List.map Option.get)
        | Value.Tensor _ -> Value.Unknown Kind.Family
        | v ->
            report ctx (Diagnostics.wrongKind "`base` of `family`" "a Model" (describe ctx v) b.Span None)
            Value.Unknown Kind.Family
    | [ what ] ->
        report ctx (Diagnostics.missingArgument "family" "base" "family(glob or list or record, base)" what.Span)
        Value.Unknown Kind.Family
    | _ ->
        report ctx
            (Diagnostics.wrongKind "`family`" "a glob, a list or a record with a base, or Deltas" "something else" call.Span None)
        Value.Unknown Kind.Family

let private zeros ctx (call: Call) =
    Call.orUnknown (Call.tensor ctx call 0 "base") (fun b ->
        Value.Tensor { Node = number ctx 0.0; Weight = number ctx 0.0; Set = b.Set })

let private reweigh ctx (call: Call) weight =
    lift ctx $"`{call.Function}`" call.Span [ call.Args[0].Value.Value ] (function
        | [ Value.Tensor t ] -> Value.Tensor { t with Weight = number ctx weight }
        | [ Value.Unknown _ ] -> Value.Unknown(if weight = 1.0 then Kind.Model else Kind.Delta)
        | [ v ] ->
            report ctx (Diagnostics.wrongKind $"`{call.Function}`" "a Model or a Delta" (describe ctx v) call.Span None)
            Call.unknown
        | _ -> Call.unknown)

let private row name parameters variadic summary example result run : Builtin =
    { Name = name; Group = "load"; Parameters = parameters; Variadic = variadic; Summary = summary; Example = example; Result = result; Run = run }

let all =
    [ row "model" [ Call.required "path" Kind.Text; Call.optional "dtype" Kind.Text "" ] false
          "The checkpoint at a path (safetensors, PyTorch or GGUF file, folder or index) as a Model; `dtype` is what results over it are stored as."
          "model(\"zoo/base.safetensors\")" Kind.Model model
      row "delta"
          [ Call.required "path" Kind.Text; Call.required "base" Kind.Model
            Call.optional "missing" Kind.Text "\"error\""; Call.optional "extra" Kind.Text "\"error\""; Call.optional "vocab" Kind.Text "\"by-row\"" ]
          false "The task vector θ − θ₀ of the checkpoint at a path, or that of a low-rank adapter: a PEFT folder (adapter_config.json) or a single file with PEFT's, diffusers' or kohya's keys. `missing = \"zero\"` takes absent tensors as unchanged, `extra = \"drop\"` leaves surplus ones out. `vocab = \"by-token\"` takes rows of embeddings and output layers by the token that both tokenizer.json give them: tokens that the base lacks are dropped, those that the other lacks unchanged."
          "delta(\"zoo/tasks/digits.safetensors\", model(\"zoo/base.safetensors\"))" Kind.Delta delta
      row "family" [ Call.required "glob or list or record" Kind.Any; Call.optional "vocab" Kind.Text "\"by-row\"" ] true
          "Several task vectors over one base, by glob, list or record of paths, or from Deltas; `f.name` is a member. The folder of a basis is read as one, saved by tva or by the published code. `vocab` as for `delta`."
          "family(\"zoo/tasks/*.safetensors\", model(\"zoo/base.safetensors\"))" Kind.Family family
      row "zeros" [ Call.required "base" Kind.Model ] false "The Delta that changes nothing." "zeros(model(\"zoo/base.safetensors\"))" Kind.Delta zeros
      row "raw" [ Call.required "m" Kind.Tensor ] false "A Model's plain numbers as a Delta from zero." "norm(raw(model(\"zoo/base.safetensors\")))" Kind.Delta (fun c call -> reweigh c call 0.0)
      row "point" [ Call.required "d" Kind.Tensor ] false "A Delta from zero as a Model." "point(0.5 * raw(model(\"zoo/base.safetensors\")))" Kind.Model (fun c call -> reweigh c call 1.0) ]
