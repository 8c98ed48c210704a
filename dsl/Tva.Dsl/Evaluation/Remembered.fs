/// Numbers that passes over files have told in a session: from an expression over files as they are to its value, without reading them again.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.Globalization
open System.IO
open System.Security.Cryptography
open System.Text
open Tva.Core.Checkpoints
open Tva.Core.Ops
open Tva.Core.Execution
open Tva.Dsl.Graph
open Tva.Dsl.Typing

/// What is known, by the expression's key; outlives programs, as keys speak of files by their content.
type Remembered() =
    /// Rows of a large model add up; what is forgotten is only computed again.
    let most = 4_000_000
    let values = Dictionary<string, (string * float) list>()
    let mutable held = 0

    member _.Find(key: string) =
        match values.TryGetValue key with
        | true, v -> Some v
        | _ -> None

    member _.Add(key: string, found: (string * float) list) =
        if held + found.Length > most then
            values.Clear()
            held <- 0
        if values.TryAdd(key, found) then
            held <- held + found.Length

    /// Length and time of a checkpoint's files: a fingerprint looks at samples, this tells that a file was touched at all.
    static member Stamp(checkpoint: Checkpoint) =
        String.Join(
            ";",
            checkpoint.Files |> Seq.map (fun f ->
                let info = FileInfo f
                if info.Exists then $"{info.Length} {info.LastWriteTimeUtc.Ticks}" else "gone")
        )

/// The memory as one program asks it.
type Recall(program: Program, memory: Remembered) =
    let keys = Dictionary<int, string option>()
    let context = Context.afterwards program

    /// More products than this are not computed on the side.
    let mostTerms = 8

    /// A sum that loses more of its digits than this is computed from the files.
    let cancellation = 1e-3

    let text (v: float) = v.ToString("R", CultureInfo.InvariantCulture)
    let files = Dictionary<int, string>()
    let file i =
        match files.TryGetValue i with
        | true, text -> text
        | _ ->
            let c = program.Sources[i].Checkpoint
            files[i] <- $"{c.Fingerprint} {Remembered.Stamp c}"
            files[i]
    let hash (text: string) = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes text))

    let rec key (n: Node) : string option =
        match keys.TryGetValue n.Id with
        | true, k -> k
        | _ ->
            let args = n.Args |> Array.map key
            let own =
                match n.Op with
                | Const v -> Some(text v)
                | Source i when i >= 0 -> Some("file " + file i)
                | Apply op -> Some(OpTable.All[op].Name)
                | Linear -> Some "sum"
                | Restrict s -> Some("restrict " + TensorScope.text s)
                | Choose scopes -> Some("choose " + String.Join(", ", scopes |> List.map TensorScope.text))
                | Ramp -> Some "ramp"
                | Numel e -> Some $"numel {e}"
                | Reduce(kind, e) -> Some $"{kind} {e}"
                | Keep -> Some "keep"
                | Drop None -> Some "drop"
                | Matrix kind -> Some $"matrix {kind}"
                | Rank e -> Some $"rank {e}"
                | Drop(Some _)
                | Source _
                | Late _
                | Given _
                | Carried _
                | Loop _ -> None
            let k =
                if own.IsNone || args |> Array.exists Option.isNone then None
                else
                    let args = args |> Array.map Option.get
                    // The order in which nodes came about is no part of what they mean.
                    let parts =
                        match n.Op with
                        | Linear -> args |> Array.chunkBySize 2 |> Array.map (String.concat "*") |> Array.sort
                        | Reduce(ReduceKind.Dot, _) -> Array.sort args
                        | _ -> args
                    Some(hash (own.Value + "(" + String.Join(",", parts) + ")"))
            keys[n.Id] <- k
            k

    /// A number's key holds its tensor list, which may be longer than what it reads.
    let keyOver (reference: int) (n: Node) = key n |> Option.map (fun k -> $"{file reference}:{k}")

    let find reference n = keyOver reference n |> Option.bind memory.Find

    let single reference n =
        match n.Op, find reference n with
        | Const v, _ -> Some v
        | _, Some [ _, v ] -> Some v
        | _ -> None

    let dot (x: Node) (y: Node) = Context.simplify context (Builtins.Reductions.dot context Span.None Extent.All x y)

    /// x as Σ c·t over task vectors: models whose coefficients cancel out are taken as differences from one of them, since products of
    /// the models themselves would leave few digits.
    let terms (x: Node) : (float * Node) list option =
        let parts = if x.Op.IsLinear then pairs x else [ context.Program.Graph.Const 1.0, x ]
        let parts = parts |> List.map (fun (k, t) -> (match k.Op with Const c -> Some c | _ -> None), t)
        let isPoint (n: Node) = match n.Op with Source i -> not (program.Vectors.Contains i) | _ -> false
        // What takes passes of its own is not looked into.
        let isSimple (t: Node) = t.Extent = Extent.Element && reachable [ t ] |> Seq.forall (fun n -> not (n.Op.IsMatrix || n.Op.IsLoop || n.Op.IsRank))
        if parts |> List.exists (fun (k, t) -> k.IsNone || not (isSimple t)) then None
        else
            let points, others = parts |> List.map (fun (k, t) -> k.Value, t) |> List.partition (snd >> isPoint)
            let sum = points |> List.sumBy fst
            let number (_, n: Node) = match n.Op with Source i -> i | _ -> -1
            if points.IsEmpty then Some others
            elif abs sum > 1e-9 * (points |> List.sumBy (fst >> abs)) then None
            else
                let origin =
                    points
                    |> List.filter (number >> program.Models.Contains)
                    |> (function [] -> points | loaded -> loaded)
                    |> List.minBy number
                let from = snd origin
                let difference (c, t: Node) = c, Context.simplify context (Context.apply context "sub" Span.None [| t; from |])
                Some((points |> List.filter (fun (_, t) -> t.Id <> from.Id) |> List.map difference) @ others)

    /// The products that ⟨x, y⟩ is a sum of, with their coefficients; nothing where it is one itself or of too many.
    let products (n: Node) : (float * Node) list option =
        match n.Op, n.Args with
        | Reduce(ReduceKind.Dot, Extent.All), [| x; y |] ->
            match terms x, terms y with
            | Some a, Some b when max a.Length b.Length <= mostTerms ->
                match [ for c, s in a do for d, t in b do c * d, dot s t ] with
                | [ _, d ] when d.Id = n.Id -> None
                | parts -> Some parts
            | _ -> None
        | _ -> None

    /// A whole-model reduction's value, from itself or from the products that it is made of.
    let reduction reference (n: Node) : float option =
        match single reference n with
        | Some v -> Some v
        | None ->
            match products n with
            | Some parts ->
                let known = parts |> List.map (fun (c, d) -> single reference d |> Option.map (fun v -> c * v))
                if known |> List.forall Option.isSome then
                    let known = known |> List.map Option.get
                    let value, size = List.sum known, known |> List.sumBy abs
                    if abs value >= cancellation * size then Some value else None
                else None
            | None -> None

    let isReduction (n: Node) =
        match n.Op with
        | Reduce((ReduceKind.KeepLargest | ReduceKind.Quantile), _) -> false
        // A loop's own are other numbers in each round.
        | Reduce(_, Extent.All) -> n.Inside = 0
        | _ -> false

    /// The values of a bound and simplified number, if they follow from what is known.
    member _.Values(reference: int, n: Node) : (string * float) list option =
        match find reference n with
        | Some v -> Some v
        | None when n.Extent = Extent.All ->
            let instead (m: Node) = if isReduction m then reduction reference m |> Option.map program.Graph.Const else None
            let left = Context.simplify context (List.head (replace program.Graph instead [ n ]))
            match left.Op with
            | Const v -> Some [ "", v ]
            | _ -> None
        | None -> None

    /// What else is worth computing in the pass that computes these: the reductions they rest on, and the products of the vectors in
    /// them, so that other coefficients need no pass.
    member _.Beside(n: Node) : Node list =
        if n.Extent <> Extent.All then []
        else
            let parts = reachable [ n ] |> Seq.filter isReduction |> List.ofSeq
            parts @ (parts |> List.collect (fun r -> products r |> Option.map (List.map snd) |> Option.defaultValue []))
            |> List.filter (fun m -> not m.Op.IsConst && m.Id <> n.Id)
            |> List.distinctBy _.Id

    /// Keeps what a pass has told.
    member _.Learn(reference: int, n: Node, values: (string * float) list) =
        match keyOver reference n with
        | Some k when not values.IsEmpty -> memory.Add(k, values)
        | _ -> ()
