/// Kernels: from what a class of tensors computes in one step to a fused program with its bindings.
namespace Tva.Dsl.Plan

open System.Collections.Generic
open Tva.Core.Execution
open Tva.Core.Kernels
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph

/// What a class computes in a step.
type KernelRequest =
    { Graph: Graph
      /// Roots to store, with the plan output and its type.
      Stores: (Node * int * DType) list
      /// Per reduction of the step its streams, or nothing where this class contributes nothing.
      Streams: Node[] option []
      /// Type of a source's tensor in this class.
      TypeOf: int -> DType
      /// The plan's number of a source.
      SourceOf: int -> int
      /// Whether a source holds a point of weight space rather than a difference.
      IsPoint: int -> bool
      /// Sources an earlier step of this class has read, and so looked at for NaN and infinity.
      Seen: HashSet<int> }

[<AutoOpen>]
module private Nodes =
    let isSource (n: Node) =
        match n.Op with
        | Source _ -> true
        | _ -> false

/// A kernel's inputs, each once, those that its ranks are computed from included.
type private KernelInputs() =
    let bindings = List<InputBinding>()
    let types = List<DType>()
    member _.Bindings = bindings
    member _.Types = types
    /// Per node that is a rank its input.
    member val Ranks = Dictionary<int, int>()
    member _.Add(binding: InputBinding, dtype) =
        match bindings.IndexOf binding with
        | -1 ->
            bindings.Add binding
            types.Add dtype
            bindings.Count - 1
        | i -> i

/// Collects the instructions of one kernel, equal ones once; the order comes later. Instructions carry no origin: the same program
/// written elsewhere, or for another λ, is the same kernel. `isInner`: of what is ranked, a program that reads some of the inputs.
type private Builder(request: KernelRequest, scalars: Scalars, slot: Node -> struct (int * int), inputs: KernelInputs, isInner: bool) =
    let code = List<Instruction>()
    let known = Dictionary<Instruction, int>()
    let used = List<int>()
    let parameters = List<ParameterBinding>()
    let lowered = Dictionary<int, int>()

    let put (i: Instruction) =
        match known.TryGetValue i with
        | true, at -> at
        | _ ->
            code.Add i
            known[i] <- code.Count - 1
            code.Count - 1

    let load (input: int) =
        let at =
            if not isInner then input
            else
                match used.IndexOf input with
                | -1 ->
                    used.Add input
                    used.Count - 1
                | i -> i
        put (Instruction(Code.Load, Index = at))

    let input (binding: InputBinding) dtype = load (inputs.Add(binding, dtype))

    let source s = input (FileInput(request.SourceOf s)) (request.TypeOf s)

    let constant (v: float) = put (Instruction(Code.Const, Value = float32 v))

    let parameter (n: Node) =
        let binding = ScalarParameter(scalars.Index n)
        let at =
            match parameters.IndexOf binding with
            | -1 ->
                parameters.Add binding
                parameters.Count - 1
            | i -> i
        put (Instruction(Code.Param, Index = at))

    let keep (selection: Node) =
        let struct (step, index) = slot selection
        let binding = KeepParameter(step, index)
        match parameters.IndexOf binding with
        | -1 ->
            parameters.Add binding
            parameters.Count - 1
        | i -> i

    let apply name a b c = put (Instruction(Code.Apply, a, b, c, opNumber name))

    /// A coefficient: a parameter, so that another number needs no other kernel; along rows a stream.
    let coefficient (k: Node) =
        let index = scalars.Index k
        if scalars.Extent index = Extent.Row then input (RowInput index) DType.F32 else parameter k

    let rec lower (n: Node) : int =
        match lowered.TryGetValue n.Id with
        | true, v -> v
        | _ ->
            let v =
                match n.Op with
                | Const v -> constant v
                | _ when n.Extent < Extent.Element -> coefficient n
                | Source s -> source s
                | Linear -> sum n
                | Apply op ->
                    let args = n.Args |> Array.map lower
                    let arg i = if i < args.Length then args[i] else -1
                    put (Instruction(Code.Apply, arg 0, arg 1, arg 2, op))
                | Keep -> (let x = lower n.Args[0] in put (Instruction(Code.Keep, x, Index = keep n.Args[1])))
                | Matrix _ -> (let struct (step, index) = slot n in input (MatrixInput(step, index)) DType.F32)
                | Drop names ->
                    let seed = scalars.Index n.Args[2]
                    let draws = match names with Some n -> RandomInput(seed, Names = n.Before) | None -> RandomInput seed
                    let u = input draws DType.F32
                    let dropped = apply "lt" u (lower n.Args[1]) -1
                    apply "where" dropped (constant 0.0) (lower n.Args[0])
                | Rank extent -> load (rank n extent)
                | op -> invalidOp $"{op} is still there after specializing"
            lowered[n.Id] <- v
            v

    /// The input that is a rank: what is ranked is a program of its own, run over whole rows before the kernel.
    and rank (n: Node) extent =
        match inputs.Ranks.TryGetValue n.Id with
        | true, at -> at
        | _ ->
            let inner = Builder(request, scalars, slot, inputs, true)
            inner.Add(Instruction(Code.Store, inner.Lower n.Args[0], Index = 0))
            let read: List<int> = inner.Used
            let types = [| for i in read -> inputs.Types[i] |]
            let program = KernelProgram(Array.ofList (Schedule.order inner.Code), types, [| DType.F32 |], inner.Parameters.Count)
            let at = inputs.Add(RankInput(program, read.ToArray(), inner.Parameters.ToArray(), extent), DType.F32)
            inputs.Ranks[n.Id] <- at
            at

    /// Points are close to each other, so a sum of them is taken around the first read, p: where the coefficients add up to 1 (a Model)
    /// as p + Σ cᵢ·(xᵢ − p), where to 0 (a Delta) as Σ cᵢ·(xᵢ − p). What is equal in all files then stays as it is to the last bit, and
    /// small task vectors don't drown in the rounding of large products.
    and sum (n: Node) =
        let isPoint (x: Node) = match x.Op with Source s -> request.IsPoint s | _ -> false
        let points, rest = pairs n |> List.partition (fun (_, x) -> isPoint x)
        let total () =
            points |> List.map fst |> List.reduce (fun a b -> request.Graph.Apply("add", Span.None, a, b)) |> Passes.simplify request.Graph
        let is (v: float) (k: Node) = match k.Op with Const c -> abs (c - v) < 1e-12 | _ -> false
        if points.Length < 2 then inOrder -1 (pairs n)
        else
            let total = total ()
            if is 0.0 total then inOrder (around points false) rest
            elif is 1.0 total then inOrder (around points true) rest
            else inOrder -1 (pairs n)

    and around (points: (Node * Node) list) isModel =
        match points with
        | [ (k1, x1); (k2, x2) ] when k1.Op = Const -1.0 && k2.Op = Const 1.0 -> (let v2 = lower x2 in apply "sub" v2 (lower x1) -1)
        | _ ->
            let pivot = points |> List.map snd |> List.minBy _.Id
            let p = lower pivot
            ((if isModel then p else -1), points |> List.filter (fun (_, x) -> x.Id <> pivot.Id))
            ||> List.fold (fun acc (k, x) -> plusOnce acc k (apply "sub" (lower x) p -1))

    /// acc + k·v, rounded once.
    and plusOnce acc (k: Node) v =
        match k.Op with
        | Const(1.0 | -1.0) -> plus acc k v
        | _ when acc < 0 -> plus acc k v
        | _ -> apply "fma" (coefficient k) v acc

    /// acc + k·v, both rounded; acc -1 is nothing yet.
    and plus acc (k: Node) v =
        match k.Op with
        | Const 1.0 -> if acc < 0 then v else apply "add" acc v -1
        | Const -1.0 -> if acc < 0 then apply "neg" v -1 -1 else apply "sub" acc v -1
        | _ ->
            let product = apply "mul" (coefficient k) v -1
            if acc < 0 then product else apply "add" acc product -1

    /// In the order of the terms, every product and every sum rounded, as NumPy and PyTorch do: where terms cancel exactly
    /// in one tool they then do in the other, which a sign election can see.
    and inOrder start (terms: (Node * Node) list) =
        let ordered =
            match terms, terms |> List.tryFind (fun (k, _) -> k.Op = Const 1.0) with
            | (k, _) :: _, Some plain when start < 0 && k.Op = Const -1.0 -> plain :: List.except [ plain ] terms
            | _ -> terms
        (start, ordered) ||> List.fold (fun acc (k, x) ->
            match x.Op with
            | Const 1.0 -> (let v = coefficient k in if acc < 0 then v else apply "add" acc v -1)
            | _ -> plus acc k (lower x))

    member _.Lower(n: Node) : int = lower n
    member _.Times(value, factor: float) = apply "mul" value (constant factor) -1
    member _.Add(i: Instruction) = code.Add i
    member _.Code: List<Instruction> = code
    member _.Load s = source s
    /// The kernel's inputs that this program reads, in the order of its own.
    member _.Used = used
    member _.Parameters: List<ParameterBinding> = parameters

module Emit =

    /// The sources an element-level node reads.
    let sourcesOf (roots: Node seq) =
        let seen = HashSet<int>()
        let sources = SortedSet<int>()
        let rec visit (n: Node) =
            if n.Extent = Extent.Element && seen.Add n.Id then
                match n.Op with
                | Source s -> sources.Add s |> ignore
                | Reduce _
                | Matrix _ -> ()
                | _ -> Array.iter visit n.Args
        Seq.iter visit roots
        sources

    /// The least magnitude that a narrow type rounds to infinity (F8_E4M3: NaN).
    let private largest dtype =
        match dtype with
        | DType.F16 -> Some 65520.0
        | DType.F8E4M3 -> Some 464.0
        | DType.F8E5M2 -> Some 61440.0
        | _ -> None

    let private isPlainSum (n: Node) =
        isSource n || (n.Op.IsLinear && pairs n |> List.forall (fun (_, x) -> isSource x || x.Op.IsConst))

    /// The kernel of a class in a step, or null where it has nothing to do.
    let kernel (scalars: Scalars) (slot: Node -> struct (int * int)) (request: KernelRequest) : ClassKernel | null =
        let streams = request.Streams |> Seq.choose id |> Seq.concat |> Seq.distinctBy _.Id |> List.ofSeq
        if request.Stores.IsEmpty && streams.IsEmpty then
            null
        else
            let inputs = KernelInputs()
            let b = Builder(request, scalars, slot, inputs, false)
            let roots = [ for root, _, _ in request.Stores -> root ] @ streams
            let values = roots |> List.map b.Lower
            let fresh = sourcesOf roots |> Seq.filter (request.Seen.Contains >> not) |> HashSet
            // NaN and infinity survive a sum, so looking at the result tells as much as looking at every input.
            if roots |> List.forall isPlainSum then
                for root, value in List.zip roots values do
                    let covered = sourcesOf [ root ]
                    if covered.Overlaps fresh then
                        b.Add(Instruction(Code.Guard, value))
                        fresh.ExceptWith covered
            else
                for s in fresh do
                    b.Add(Instruction(Code.Guard, b.Load s))
                // What is written is looked at too: √ of a negative number is NaN though every input is finite.
                for value in List.truncate request.Stores.Length values do
                    b.Add(Instruction(Code.Guard, value))
            for (root, _, dtype), value in List.zip request.Stores (List.truncate request.Stores.Length values) do
                let keeps =
                    match root.Op with
                    | Source s when isSource root -> request.TypeOf s = dtype
                    | _ -> false
                match largest dtype with
                | Some limit when not keeps ->
                    // Beyond this a float32 is infinite once it is stored; scaled, it is so at once.
                    b.Add(Instruction(Code.Guard, b.Times(value, 2.0 ** 128.0 / limit)))
                | _ -> ()
            values |> List.iteri (fun i value -> b.Add(Instruction(Code.Store, value, Index = i)))
            let stores = request.Stores.Length
            let scratch = streams |> List.mapi (fun i s -> s.Id, stores + i) |> dict
            let feed (streams: Node[] option) =
                match streams with
                | None -> ReductionFeed(-1)
                | Some [| x |] -> ReductionFeed(scratch[x.Id])
                | Some xs -> ReductionFeed(scratch[xs[0].Id], scratch[xs[1].Id])
            let types = [ for _, _, dtype in request.Stores -> dtype ] @ [ for _ in streams -> DType.F32 ]
            let program =
                KernelProgram(Array.ofList (Schedule.order b.Code), Array.ofSeq inputs.Types, Array.ofList types, b.Parameters.Count)
            ClassKernel(
                program,
                Array.ofSeq inputs.Bindings,
                [| for _, file, _ in request.Stores do file
                   for _ in streams do -1 |],
                Array.ofSeq b.Parameters,
                request.Streams |> Array.map feed)
