/// What leaves the algebra: `save` and `evaluate`.
module Tva.Dsl.Typing.Builtins.Output

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

/// How atoms may be stored.
let private atomTypes = [ "f32", DType.F32; "bf16", DType.BF16; "int8", DType.I8 ]

/// Whether a file that is read lies in the folder.
let private readsWithin (p: Program) (folder: string) =
    p.Sources |> Seq.exists (fun s -> s.Checkpoint.Files |> Seq.exists (Path.GetFullPath >> isWithin folder))

/// A basis goes into a folder of its own.
let private saveBasis ctx (call: Call) (b: BasisValue) =
    let p = ctx.Program
    if call.Args[3].IsSome then
        report ctx (FileDiagnostics.shardOfOne "a basis" "its atoms" call.Args[3].Value.Span)
    match Call.text ctx call 1 "path" "", Call.choice ctx call 2 "dtype" (List.map fst atomTypes) "f32" with
    | Some path, Some dtype when not ctx.Abstract ->
        let span = call.Args[1].Value.Span
        let full = fullPath ctx path
        if (p.Surroundings.InMemory path).IsSome then
            report ctx (FileDiagnostics.memoryForm path "a basis" span)
        elif not (mayWrite ctx span path) then
            ()
        elif full.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) || File.Exists full then
            report ctx (FileDiagnostics.basisForm path span)
        elif Directory.Exists full && not (File.Exists(Path.Combine(full, BasisFolder.FileName))) && Directory.EnumerateFileSystemEntries full |> Seq.isEmpty |> not then
            report ctx (FileDiagnostics.folderInUse path span)
        elif readsWithin p full then
            report ctx (FileDiagnostics.outputIsInput path span)
        elif p.Effects |> Seq.exists (function Effect.SaveBasis(_, other, _, _, _) -> other = full | _ -> false) then
            report ctx (FileDiagnostics.outputTwice path span)
        else
            let dtype = atomTypes |> List.find (fun (name, _) -> name = dtype) |> snd
            p.Do(Effect.SaveBasis(b, full, dtype, p.Provenance call.Args[0].Value.Text, call.Span))
    | _ -> ()
    Value.Unit

/// What `dtype` says: a name, or a record of names by globs.
let private storage ctx (call: Call) (set: TensorSet option) =
    match call.Args[2] with
    | Some { Value = Value.Record entries; Span = span } ->
        let one (key, value) =
            match key, value with
            | _, Value.Unknown _ -> None
            | key, Value.Text name ->
                match DTypes.TryParse name with
                | true, d when d.IsFloating() ->
                    match key with
                    | Glob g
                    | Key g -> Some(TensorScope.Glob g.Text, d)
                    | Else _ -> Some(Everything, d)
                | _ ->
                    report ctx (FileDiagnostics.unknownDType name span)
                    None
            | _, v ->
                report ctx (Diagnostics.wrongKind "a value of `dtype`" "a Text" (describe ctx v) span None)
                None
        let found = entries |> List.map one
        if found |> List.exists Option.isNone then None
        else
            let rest, named = found |> List.map Option.get |> List.partition (fun (scope, _) -> scope = Everything)
            match set with
            | Some set when not ctx.Abstract ->
                let names = [ for t in ctx.Program.SetTensors set do if t.DType.IsFloating() then t.Name ]
                for scope, _ in named do
                    if not (names |> List.exists (fun n -> TensorScope.selects n -1 scope)) then
                        report ctx (FileDiagnostics.scopeSelectsNothing (TensorScope.text scope) (List.truncate 4 names) span)
            | _ -> ()
            Some(Storage.Rules(named @ rest))
    | _ -> Loading.dtypeOf ctx call 2 |> Option.map (function Some d -> Storage.All d | None -> Storage.Kept)

/// Bytes of a shard, where `shard` is given.
let private shardOf ctx (call: Call) =
    match call.Args[3] with
    | None -> Some None
    | Some a ->
        match Call.text ctx call 3 "shard" "" with
        | None -> None
        | Some text ->
            match ByteSize.parse text with
            | Some bytes -> Some(Some bytes)
            | None ->
                report ctx (FileDiagnostics.notASize "shard" text a.Span)
                None

/// Files that other programs write; a path that ends so is no folder.
let private otherFiles = set [ ".pt"; ".pth"; ".bin"; ".gguf"; ".json"; ".ckpt"; ".npz"; ".npy"; ".onnx"; ".h5"; ".st"; ".zip"; ".msgpack"; ".pkl" ]

/// Whether a path means a folder; None: neither that nor a file that can be written.
let private isFolder (path: string) (full: string) =
    let extension = (string (Path.GetExtension full)).ToLowerInvariant()
    if String.IsNullOrWhiteSpace path then None
    elif path.EndsWith '/' || path.EndsWith '\\' then Some true
    elif extension = ".safetensors" then Some false
    elif otherFiles.Contains extension || extension <> "" && Suggest.distance extension ".safetensors" <= 3 then None
    else Some true

let private saveTensor ctx (call: Call) =
    let p = ctx.Program
    let set = match call.Args[0] with Some { Value = Value.Tensor t } -> t.Set | _ -> None
    match Call.tensor ctx call 0 "x", Call.text ctx call 1 "path" "", storage ctx call set, shardOf ctx call with
    | Some t, Some path, Some types, Some shard ->
        let span = call.Args[1].Value.Span
        let source = call.Args[0].Value
        if checkWhole ctx (quote source.Text) source.Span t && not ctx.Abstract then
            let full = fullPath ctx path
            let full = Path.TrimEndingDirectorySeparator full
            let inMemory = (p.Surroundings.InMemory path).IsSome
            let folder = if inMemory then Some false else isFolder path full
            let foreign () =
                try
                    match List.ofSeq (FolderOutput.Foreign full) with
                    | [] -> None
                    | names -> Some(FileDiagnostics.outputFolderInUse path names span)
                with :? FaultException ->
                    Some(FileDiagnostics.folderOnDisk path span)
            // A file beside the files that a folder was opened for changes what the folder is.
            let host =
                if folder = Some true || inMemory then None
                else
                    let home = string (Path.GetDirectoryName full)
                    p.Sources |> Seq.map _.Checkpoint.Path |> Seq.tryFind (fun input -> Directory.Exists input && Checkpoint.IsSameFile(input, home))
            // A name in memory is no path.
            let isOutput (input: Checkpoint) =
                if inMemory then input.Path = full
                else Checkpoint.IsSameFile(input.Path, full) || input.Files |> Seq.exists (fun f -> Checkpoint.IsSameFile(f, full))
            let clash other = other = full || isWithin full other || isWithin other full
            if not (mayWrite ctx span path) then
                ()
            elif folder.IsNone then
                report ctx (FileDiagnostics.outputForm path span)
            elif folder = Some false && shard.IsSome then
                report ctx (if inMemory then FileDiagnostics.memoryForm path "a model in shards" span else FileDiagnostics.shardOfFile path span)
            elif p.Sources |> Seq.exists (fun s -> isOutput s.Checkpoint) then
                report ctx (FileDiagnostics.outputIsInput path span)
            elif folder = Some true && readsWithin p full then
                report ctx (FileDiagnostics.outputHoldsInput path span)
            elif host.IsSome then
                report ctx (FileDiagnostics.outputInInput path host.Value span)
            elif p.Effects |> Seq.exists (function Effect.Save(_, other, _, _, _) -> clash other | _ -> false) then
                report ctx (FileDiagnostics.outputTwice path span)
            else
                match (if folder = Some true then foreign () else None) with
                | Some d -> report ctx d
                | None ->
                    let form = { Types = types; Shard = (if folder = Some true then Some(defaultArg shard Int64.MaxValue) else None) }
                    p.Do(Effect.Save(t, full, form, p.Provenance source.Text, call.Span))
    | None, _, _, _ when not call.Args[0].Value.Value.IsUnknown && call.Args[0].Value.Value.IsFamily ->
        // Call.tensor has said that a family is not a tensor.
        ()
    | _ -> ()
    Value.Unit

/// A sum of low-rank adapters goes into a folder as PEFT has it.
let private saveAdapter ctx (call: Call) =
    let p = ctx.Program
    if call.Args[3].IsSome then
        report ctx (FileDiagnostics.shardOfOne "an adapter" "its factors" call.Args[3].Value.Span)
    let rank =
        match call.Args[5] with
        | None -> Some None
        | Some a ->
            match Call.constant ctx call 5 "rank" 1.0 with
            | Some v when v >= 1.0 && v = floor v && v <= 1e6 -> Some(Some(int v))
            | Some v ->
                report ctx (Diagnostics.outOfRange "`rank` of `save`" "1" "1000000 (whole)" v a.Span)
                None
            | None -> None
    match Call.delta ctx call 0 "x", Call.text ctx call 1 "path" "", Loading.dtypeOf ctx call 2, rank with
    | Some t, Some path, Some dtype, Some rank when not ctx.Abstract && t.Set.IsSome ->
        let span = call.Args[1].Value.Span
        let source = call.Args[0].Value
        let full = fullPath ctx path
        let isAdapter = File.Exists(Path.Combine(full, AdapterConfig.FileName))
        match LowRankForm.terms p.Graph p.IsLowRank (simplify ctx t.Node) with
        | _ when (p.Surroundings.InMemory path).IsSome -> report ctx (FileDiagnostics.memoryForm path "an adapter" span)
        | _ when not (mayWrite ctx span path) -> ()
        | None when rank.IsNone -> report ctx (FileDiagnostics.notLowRank (quote source.Text) source.Span)
        | None when not (Matrices.hasMatrix ctx t) -> report ctx (Diagnostics.noMatrix "save as lora" source.Span)
        | Some [] -> report ctx (FileDiagnostics.nothingLowRank (quote source.Text) source.Span)
        | _ when full.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) || File.Exists full ->
            report ctx (FileDiagnostics.adapterForm path span)
        | _ when Directory.Exists full && not isAdapter && not (Seq.isEmpty (Directory.EnumerateFileSystemEntries full)) ->
            report ctx (FileDiagnostics.adapterFolderInUse path span)
        | _ when readsWithin p full ->
            report ctx (FileDiagnostics.outputIsInput path span)
        | _ when p.Effects |> Seq.exists (function Effect.SaveAdapter(_, other, _, _, _, _) -> other = full | _ -> false) ->
            report ctx (FileDiagnostics.outputTwice path span)
        | _ -> p.Do(Effect.SaveAdapter(t, full, rank, defaultArg dtype DType.F32, p.Provenance source.Text, call.Span))
    | _ -> ()
    Value.Unit

let private save ctx (call: Call) =
    match Call.choice ctx call 4 "as" [ "checkpoint"; "lora" ] "checkpoint", call.Args[0] with
    | Some "lora", _ -> saveAdapter ctx call
    | Some _, x ->
        match call.Args[5] with
        | Some a -> report ctx (FileDiagnostics.rankOfAdapter a.Span)
        | None -> ()
        match x with
        | Some { Value = Value.Basis b } -> saveBasis ctx call b
        | _ -> saveTensor ctx call
    | None, _ -> Value.Unit

/// Reports a command that may not be started, or that has no place for a checkpoint's path.
let checkCommand ctx (call: Call) (command: string) span =
    if not ctx.Program.Permissions.Run then
        report ctx (Diagnostics.needsPermission "running a command" Tva.Core.Wording.Current.Run call.Span)
    if command.Contains "{model}" && command.Contains "{models}" then
        report ctx (Diagnostics.cannotCompute "the command has both `{model}` and `{models}`" span (Some "`{model}` is one path and starts the command for each model, `{models}` all of them at once"))
    elif not (command.Contains "{model}" || command.Contains "{models}") && not ctx.Abstract then
        report ctx (Diagnostics.cannotCompute "the command has no `{model}`, the place of the checkpoint's path" span None)

let private evaluate ctx (call: Call) =
    let p = ctx.Program
    match Call.tensor ctx call 0 "x", Call.text ctx call 1 "command" "" with
    | Some t, Some command ->
        checkCommand ctx call command call.Args[1].Value.Span
        let source = call.Args[0].Value
        if ctx.Abstract || not (checkWhole ctx (quote source.Text) source.Span t) then Value.Unknown Kind.Table
        else
            let table = p.NewTable()
            p.Do(Effect.Evaluate(table, t, command, ctx.Folder, call.Span))
            Value.Table(Printed table)
    | _ -> Value.Unknown Kind.Table

let private row name group parameters summary example result run : Builtin =
    { Name = name; Group = group; Parameters = parameters; Variadic = false; Summary = summary; Example = example; Result = result; Run = run }

let all =
    [ row "save" "out"
          [ Call.required "x" Kind.Any; Call.required "path" Kind.Text; Call.optional "dtype" Kind.Text ""; Call.optional "shard" Kind.Text ""
            Call.optional "as" Kind.Text "\"checkpoint\""; Call.optional "rank" Kind.Scalar "" ]
          "Writes x as a safetensors file, or into a folder: a path without an extension or one that ends in /. Tensors are stored as the base's are unless `dtype` says otherwise, a name or a record by globs: { \"*norm*\": \"f32\", else: \"bf16\" }; a task vector over a bf16 base is rounded so too, and a warning says that: \"f32\" keeps differences whole. A folder has one file, or with `shard = \"5GB\"` as many as need be and their index, a model card, and where the base is a folder its configuration and tokenizer. A Basis becomes a folder that `family(path, base)` reads back, its atoms stored as \"f32\", \"bf16\" or \"int8\" (a scale for each row). `as = \"lora\"` writes a LoRA, a folder as PEFT has it: a sum of low-rank adapters exactly, its ranks added up, or with `rank` the best approximation of that rank; any other Delta by a truncated SVD of each module's weight, other tensors kept whole. What each module loses is told."

          "model(\"zoo/base.safetensors\") |> save(\"out/copy.safetensors\", dtype = \"bf16\")" Kind.Unit save
      row "evaluate" "outside" [ Call.required "x" Kind.Tensor; Call.required "command" Kind.Text ]
          "Writes x to a temporary checkpoint, runs the command with its path for {model}, and reads one JSON object of numbers from its stdout. Several models asked for in a row, as by `sweep`, are written in one pass; a command with {models} instead gets the paths of all of them at once and prints one object a line. Needs --allow-run."
          "" Kind.Table evaluate ]
