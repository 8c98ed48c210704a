/// Small questions every rule of the checker asks: what kind is this, what weight has it, may these be combined.
namespace Tva.Dsl.Typing

open System
open Tva.Core
open Tva.Core.Execution
open Tva.Core.Ops
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Syntax

/// Where a call stands and what it may use.
type Context =
    { Program: Program
      /// Folder that paths are relative to.
      Folder: string
      /// A `def` is being checked on its own: parameters are unknown and nothing is done.
      Abstract: bool
      Names: Scope
      /// Calls a `def` with values; set by the checker, here so that built-in functions can take functions.
      Invoke: Context -> Closure -> Value list -> Span -> Value }

[<RequireQualifiedAccess>]
type Weight =
    | Model
    | Delta
    /// Neither; the weight and, where it varies, a tensor that has it.
    | Other of float * tensor: string option
    /// A Model at one tensor and a Delta at another.
    | Mixed of first: string * float * other: string * float
    | Unknown

module Context =

    /// The members of a family, kept in full or as a basis.
    let (|FamilyLike|_|) value =
        match value with
        | Value.Family ms -> Some ms
        | Value.Basis b -> Some b.Members
        | _ -> None

    let report (ctx: Context) d = ctx.Program.Report d

    /// The way out where a Family is asked for and its members are given.
    let familyHelp kind value =
        match kind, value with
        | Kind.Family, (Value.Tensor _ | Value.List _) -> Some "a family names its members: `family({ a: A, b: B }, base)`"
        | _ -> None

    /// Whether a path lies in a folder, both of them full.
    let isWithin (folder: string) (path: string) = path.StartsWith(folder + string IO.Path.DirectorySeparatorChar, StringComparison.Ordinal)

    /// A path of a text as a full one; a name in memory is one as it is.
    let fullPath (ctx: Context) (path: string) =
        if (ctx.Program.Surroundings.InMemory path).IsSome then path else IO.Path.GetFullPath(path, ctx.Folder)

    /// Whether the host lets a text read there; reports it where not.
    let mayRead (ctx: Context) span (path: string) =
        let s = ctx.Program.Surroundings
        match s.InMemory path, s.OutsideOfRead(fullPath ctx path) with
        | None, Some _ ->
            report ctx (Diagnostics.outsideFolders "reading" path s.Folders.Value.Read span)
            false
        | _ -> true

    /// Whether the host lets a text write there; reports it where not.
    let mayWrite (ctx: Context) span (path: string) =
        let s = ctx.Program.Surroundings
        match s.InMemory path, s.OutsideOfWrite(fullPath ctx path) with
        | None, Some _ ->
            report ctx (Diagnostics.outsideFolders "writing" path s.Folders.Value.Write span)
            false
        | _ -> true

    let graph (ctx: Context) = ctx.Program.Graph

    let number (ctx: Context) (v: float) = ctx.Program.Graph.Const v

    let apply (ctx: Context) name span args = ctx.Program.Graph.Make(Apply(opNumber name), args, span)

    let simplify (ctx: Context) node = Passes.simplify ctx.Program.Graph node

    /// A number known now, if it is one.
    let known (ctx: Context) (node: Node) =
        match node.Op with
        | Const v -> Some v
        // What a loop carries is told by its rounds alone, and simplifying a round while it is being written costs much.
        | _ when node.Inside <> 0 -> None
        | _ ->
            match (simplify ctx node).Op with
            | Const v -> Some v
            | _ -> None

    let private near (a: float) b = abs (a - b) < 1e-6

    /// What the affine rule says of a tensor value.
    let weightOf (ctx: Context) (t: TensorValue) =
        let classify v where =
            if near v 1.0 then Weight.Model
            elif near v 0.0 then Weight.Delta
            else Weight.Other(v, where)
        let weight = simplify ctx t.Weight
        match weight.Op, t.Set with
        | Const v, _ -> classify v None
        | _, Some set when weight.Extent > Extent.All ->
            // It varies by tensor: the rule must hold at each, and the same way.
            let tensors = ctx.Program.SetTensors set
            let values =
                [ for t in tensors do
                      if t.DType.IsFloating() then
                          t.Name, Passes.simplifyFor ctx.Program.Graph tensors t weight ]
            if values |> List.exists (fun (_, n) -> match n.Op with Const _ -> false | _ -> true) then
                Weight.Unknown
            else
                let values = values |> List.map (fun (name, n) -> match n.Op with Const v -> name, v | _ -> name, nan)
                match values |> List.tryFind (fun (_, v) -> not (near v 1.0 || near v 0.0)) with
                | Some(name, v) -> Weight.Other(v, Some name)
                | None ->
                    match values with
                    | [] -> Weight.Delta
                    | (_, first) :: rest ->
                        match rest |> List.tryFind (fun (_, v) -> not (near v first)) with
                        | None -> classify first None
                        | Some(name, v) -> Weight.Mixed(fst values.Head, first, name, v)
        | _ -> Weight.Unknown

    let rec kindOf (ctx: Context) value =
        match value with
        | Value.Tensor t ->
            match weightOf ctx t with
            | Weight.Model -> Kind.Model
            | Weight.Delta -> Kind.Delta
            | _ -> Kind.Tensor
        | Value.Family _ -> Kind.Family
        | Value.Basis _ -> Kind.Basis
        | Value.Scalar _ -> Kind.Scalar
        | Value.Bool _ -> Kind.Bool
        | Value.Text _ -> Kind.Text
        | Value.List _
        | Value.Named _ -> Kind.List
        | Value.Range _ -> Kind.Range
        | Value.Record _ -> Kind.Record
        | Value.Table _ -> Kind.Table
        | Value.Scope _ -> Kind.Scope
        | Value.Edit _ -> Kind.Edit
        | Value.Function _ -> Kind.Function
        | Value.Unit -> Kind.Unit
        | Value.Unknown k -> k

    let describe ctx value = Kind.article (kindOf ctx value)

    /// How messages call an expression: by its text.
    let quote (text: string) =
        let text = if text.Length > 60 then text.Substring(0, 57) + "..." else text
        $"`{text}`"

    /// Reports a tensor value that is neither a Model nor a Delta; true when it is one.
    let checkWhole (ctx: Context) (what: string) span (t: TensorValue) =
        match weightOf ctx t with
        | Weight.Model
        | Weight.Delta -> true
        | Weight.Unknown when ctx.Abstract -> true
        | Weight.Unknown ->
            report ctx (Diagnostics.weightUnknown what span)
            false
        | Weight.Mixed(first, v, other, w) ->
            report ctx (Diagnostics.weightMixed what first v other w span)
            false
        | Weight.Other(v, None) ->
            report ctx (Diagnostics.neitherModelNorDelta what v span)
            false
        | Weight.Other(v, Some tensor) ->
            report ctx (Diagnostics.weightByTensor what v tensor span)
            false

    /// Asks for one kind; `mistake` says what is wrong with the other.
    let want ctx kind (mistake: Diagnostic) what span (t: TensorValue) =
        match weightOf ctx t with
        | w when w = kind -> true
        | Weight.Unknown when ctx.Abstract -> true
        | Weight.Model
        | Weight.Delta ->
            report ctx mistake
            false
        | _ -> checkWhole ctx what span t

    /// Asks for a task vector.
    let wantDelta ctx what span t = want ctx Weight.Delta (Diagnostics.wantsDelta what span) what span t

    let wantModel ctx what span t = want ctx Weight.Model (Diagnostics.wantsModel what span) what span t

    /// For questions about values of a program that is checked already.
    let afterwards (program: Program) =
        { Program = program; Folder = "."; Abstract = false; Names = Map.empty; Invoke = fun _ _ _ _ -> Value.Unit }

    /// The set that a result of both lives over; reports tensors that don't fit. A Model's set wins over a Delta's.
    let joinSets (ctx: Context) span (a: TensorValue) (b: TensorValue) =
        match a.Set, b.Set with
        | None, s
        | s, None -> s
        | Some x, Some y ->
            let p = ctx.Program
            Vocabularies.untie p x.Reference y.Reference
            Vocabularies.untie p y.Reference x.Reference
            let missing, extra, reshaped = p.Mismatches(x.Reference, y.Reference)
            if not (missing.IsEmpty && extra.IsEmpty && reshaped.IsEmpty) then
                let help = if missing.IsEmpty && extra.IsEmpty && Vocabularies.differByRows p x.Reference y.Reference then Some FileDiagnostics.byTokenHelp
                           elif reshaped.IsEmpty then Some FileDiagnostics.differenceHelp
                           else None
                report ctx (FileDiagnostics.mismatch p.Sources[x.Reference].Path p.Sources[y.Reference].Path missing extra reshaped help span)
            elif x.Reference <> y.Reference then
                Vocabularies.warnOfRows p x.Reference y.Reference span
            match weightOf ctx a, weightOf ctx b with
            | Weight.Delta, Weight.Model -> Some y
            | _ -> Some x

    let rangeValues (r: RangeValue) =
        // Steps are counted, not added up, so 0..1 by 0.05 has 21 values and ends at 1.
        let n = int (floor ((r.Last - r.First) / r.By + 1e-9))
        [ for i in 0..n -> Math.Round(r.First + float i * r.By, 12) ]

    /// Members of anything that has them in order: a family, a list, a range.
    let members (ctx: Context) value =
        match value with
        | FamilyLike ms -> Some(ms |> List.map (fun (name, t) -> Some name, Value.Tensor t))
        | Value.Named vs -> Some(vs |> List.map (fun (name, v) -> Some name, v))
        | Value.List vs -> Some(vs |> List.map (fun v -> None, v))
        | Value.Range r -> Some(rangeValues r |> List.map (fun v -> None, Value.Scalar(number ctx v)))
        | _ -> None

    /// Makes a number or a tensor of a scalar condition's node.
    let truth (ctx: Context) (node: Node) = if node.Extent = Extent.All then Value.Bool node else Value.Scalar node
