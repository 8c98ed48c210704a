/// `family`: several task vectors over one base, or a basis from its folder.
module Tva.Dsl.Typing.Builtins.Families

open System
open System.IO
open Tva.Core
open Tva.Core.Bases
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Syntax
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context
open Tva.Dsl.Typing.Builtins.Globs
open Tva.Dsl.Typing.Builtins.Opening

let private checkNames ctx span (members: (string * TensorValue) list) =
    match members |> List.countBy fst |> List.tryFind (fun (_, n) -> n > 1) with
    | Some(name, _) ->
        report ctx (FileDiagnostics.sameName name span)
        Value.Unknown Kind.Family
    | None -> Value.Family members

/// A basis from its folder: its atoms as sources, its coefficients as they are.
let private stored (ctx: Context) span (path: string) (b: TensorValue) =
    let p = ctx.Program
    try
        match b.Set with
        | None -> Value.Unknown Kind.Basis
        | Some set ->
            let basis = BasisFolder.Open(fullPath ctx path)
            let reference = p.Sources[set.Reference]
            let sources = [ for c in Seq.append basis.Atoms (Option.toList (Option.ofObj basis.Mean)) -> p.Add(c, path) ]
            let wrong =
                sources |> List.tryPick (fun i ->
                    let missing, extra, reshaped = p.FloatingMismatches(set.Reference, i)
                    if missing.IsEmpty && extra.IsEmpty && reshaped.IsEmpty then None else Some(missing, extra, reshaped))
            match wrong with
            | _ when basis.BaseFingerprint <> null && basis.BaseFingerprint <> reference.Checkpoint.Fingerprint ->
                report ctx (FileDiagnostics.otherBase path reference.Path (string basis.BasePath) span)
                Value.Unknown Kind.Basis
            | Some(missing, extra, reshaped) ->
                report ctx (FileDiagnostics.mismatch reference.Path path missing extra reshaped None span)
                Value.Unknown Kind.Basis
            | None ->
                p.Vectors.UnionWith sources
                let atoms = sources |> List.map (fun i -> { Node = sourceNode ctx span i; Weight = number ctx 0.0; Set = Some set })
                Bases.ofStored ctx span set basis atoms
    with :? FaultException as e ->
        report ctx (FileDiagnostics.cannotOpen e.Message span)
        Value.Unknown Kind.Basis

/// Whether the host lets a text look where a glob begins; reports it where not.
let private mayLook (ctx: Context) span (pattern: string) =
    let s = ctx.Program.Surroundings
    let isAllowed = (s.InMemory pattern).IsSome || s.MayEnter(fullPath ctx (fixedPart pattern))
    if not isAllowed then
        report ctx (Diagnostics.outsideFolders "reading" pattern s.Folders.Value.Read span)
    isAllowed

let family ctx (call: Call) =
    let args = (call.Args[0] |> Option.toList) @ call.Rest
    let deltas = args |> List.choose (fun a -> match a.Value with Value.Tensor _ -> Some a | _ -> None)
    let unknownArgument = args |> List.exists (fun a -> a.Value.IsUnknown)
    let vocabulary = Call.choice ctx call 1 "vocab" vocabularies "by-row"
    let prefix = Call.text ctx call 2 "prefix" ""
    match args with
    | _ when unknownArgument || vocabulary.IsNone || prefix.IsNone -> Value.Unknown Kind.Family
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
    | [ { Value = Value.Text path } as what; b ] when BasisFolder.IsBasis(fullPath ctx path) && mayRead ctx what.Span path ->
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
                match deltaOf ctx what.Span path baseModel "error" "error" vocabulary.Value prefix.Value with
                | Some t ->
                    if (simplify ctx t.Node).Op = Const 0.0 then
                        report ctx (FileDiagnostics.baseAmongMembers name what.Span)
                    Some(name, t)
                | None -> None
            let entries =
                match what.Value with
                | Value.Text pattern ->
                    let paths =
                        try
                            let found = expandGlob (Path.GetFullPath >> ctx.Program.Surroundings.MayEnter) ctx.Folder pattern
                            if found.IsEmpty then
                                report ctx (FileDiagnostics.noMatch pattern ctx.Folder what.Span)
                            found
                        with :? FaultException as e ->
                            report ctx (FileDiagnostics.cannotOpen e.Message what.Span)
                            []
                    paths |> List.map (fun p -> fromPath (stem p) (shown ctx pattern p))
                | Value.List items ->
                    items
                    |> List.mapi (fun i item ->
                        match item with
                        | Value.Text path -> fromPath (stem (fullPath ctx path)) path
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
