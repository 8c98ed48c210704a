/// The plan of a run: from the roots that are wanted to everything the engine needs to know.
namespace Tva.Dsl.Plan

open System
open System.Collections.Generic
open Tva.Core.Checkpoints
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph

/// A checkpoint to write.
type OutputRequest =
    { Root: Node
      Path: string
      /// Per tensor of the reference, those that are copied included.
      DTypes: DType[]
      Metadata: (string * string) list
      /// Where it is a slice of stacked tensors.
      Stack: StackPart option
      /// Where it is a folder.
      Folder: FolderOutput option }

/// What is wanted.
type Request =
    { Graph: Graph
      /// By index of `Source` nodes.
      Sources: Checkpoint[]
      /// The source whose tensors give names, order and shapes.
      Reference: int
      /// Sources that hold differences (atoms, saved task vectors) rather than points.
      Vectors: IReadOnlySet<int>
      Outputs: OutputRequest list
      /// Numbers wanted as results.
      Scalars: Node list
      /// Low-rank matrices whose factors are wanted.
      Factors: Node list }

/// How to get at a wanted number.
[<RequireQualifiedAccess>]
type ScalarResult =
    | Known of float
    /// Index into the plan's results.
    | Result of int

/// Tensors that are treated alike: same kernels, same types.
type TensorClass =
    { /// Indices of plan tensors.
      Tensors: int list
      /// The output roots for them.
      Roots: Node[] }

type Planned =
    { Plan: ExecutionPlan
      Request: Request
      /// In the order of the request.
      Scalars: ScalarResult list
      Passes: PassReport list
      Classes: TensorClass[]
      /// The reductions of each step, as in the graph.
      Reductions: Node[][]
      /// Of each wanted low-rank matrix, for the tensors that have one: the plan's tensor, step and op.
      Factors: struct (int * int * int) list list }

module Plan =

    let private sourcesMentioned (roots: Node seq) =
        reachable roots |> Seq.choose (fun n -> match n.Op with Source s when s >= 0 -> Some s | _ -> None) |> Seq.distinct |> Seq.sort |> List.ofSeq

    /// Numbers that headers tell: how many elements the model has.
    let private bindNumel (g: Graph) (set: IReadOnlyList<TensorInfo>) roots =
        let all = lazy (set |> Seq.filter _.DType.IsFloating() |> Seq.sumBy (fun t -> float t.Shape.Elements))
        let known (n: Node) =
            match n.Op with
            | Numel Extent.All -> Some(g.Const all.Value)
            | Late(i, _) -> invalidOp $"late number {i} is not bound"
            | _ -> None
        replace g known roots

    let make (request: Request) : Planned =
        let g = request.Graph
        let set = request.Sources[request.Reference].Tensors
        let raw = [ for o in request.Outputs -> o.Root ] @ request.Scalars @ request.Factors
        // The reference comes first: what is copied is copied from there.
        let mentioned = request.Reference :: (sourcesMentioned raw |> List.filter ((<>) request.Reference))
        let sourceNumber = mentioned |> List.mapi (fun i s -> s, i) |> dict
        let passes = List<PassReport>()
        let roots = raw |> bindNumel g set |> Passes.run g passes.Add
        let outputs, others = List.splitAt request.Outputs.Length roots
        let scalarRoots, kept = List.splitAt request.Scalars.Length others

        let groups = Specialize.groups g set roots |> Array.ofList
        let fused = Fuse.run groups outputs scalarRoots kept
        let streams (group: int) (r: Node) =
            match fused.Feeds.TryGetValue(struct (group, r.Id)) with
            | true, streams when not (Fuse.contributesNothing r streams) -> Some streams
            | _ -> None

        // Groups that compute the same are one class; types of what is read and written tell classes apart.
        let copied = if request.Outputs |> List.forall _.Stack.IsSome then [] else [ for i in 0 .. set.Count - 1 do if not (set[i].DType.IsFloating()) then i ]
        let planned = [| yield! copied; for group in groups do yield! group.Members |] |> Array.sort
        let place = Dictionary<int, int>()
        planned |> Array.iteri (fun at i -> place[i] <- at)
        // Looked up once: a thousand sources times two thousand tensors add up.
        let found = dict [ for s in mentioned -> s, [| for t in set -> request.Sources[s].Find t.Name |] ]
        let typeIn source i =
            match found[source][i] with
            | null -> invalidOp $"{set[i].Name} is read from {request.Sources[source].Path}, which lacks it"
            | info -> info.DType
        let work c =
            let fed = [ for rs in Seq.append fused.Steps fused.Matrices do for r in rs -> streams c r |> Option.map (Array.map _.Id) ]
            String.Join(";", Seq.append [ String.Join(",", [ for r in fused.Roots[c] -> r.Id ]) ] (fed |> List.map (function None -> "-" | Some ids -> String.Join(",", ids))))
        let read c =
            Emit.sourcesOf (seq { yield! fused.Roots[c]; for rs in Seq.append fused.Steps fused.Matrices do for r in rs do yield! defaultArg (streams c r) [||] }) |> List.ofSeq
        let classes =
            [ for c in 0 .. groups.Length - 1 do
                  let sources = read c
                  let key = work c
                  for i in groups[c].Members do
                      let outs = [ for o in request.Outputs -> o.DTypes[i] ]
                      // As a text: hashing a list looks at its first elements only.
                      let types = String.Concat [ for t in Seq.append (sources |> Seq.map (fun s -> typeIn s i)) outs -> char (int t) ]
                      struct (key, types), (c, outs, i) ]
            |> List.groupBy fst
            |> List.map (fun (_, members) ->
                let c, outs, _ = snd members.Head
                c, outs, members |> List.map (fun (_, (_, _, i)) -> i) |> List.sort)
            |> List.sortBy (fun (_, _, members) -> members.Head)
            |> Array.ofList
        passes.Add
            { Pass = "specialize"
              Before = (reachable roots).Count
              After = (reachable (Seq.concat fused.Roots)).Count
              Fired = [ "groups of tensors", groups.Length; "classes", classes.Length; "passes over data", fused.Steps.Length ] }

        let scalars = Scalars(set, planned, fused.Slot)
        let level = fused.Level
        // A step's reductions come first: their numbers are scalars that kernels of later steps use.
        let reductions =
            fused.Steps |> Array.map (Array.map (fun r ->
                let argument = match Fuse.parts r with _, Some n -> scalars.Index n | _ -> -1
                match r.Op with
                | Reduce(kind, extent) -> Reduction(kind, extent, argument)
                | _ -> invalidOp "not a reduction"))
        let kernels = fused.Steps |> Array.map (fun _ -> Array.create<ClassKernel | null> classes.Length null)
        let matrices = Dictionary<struct (int * int), ClassKernel[]>()
        for k in 0 .. classes.Length - 1 do
            let c, types, members = classes[k]
            let seen = HashSet<int>()
            for step in 0 .. fused.Steps.Length - 1 do
                let stores =
                    List.zip (List.ofArray fused.Roots[c]) types
                    |> List.indexed
                    |> List.choose (fun (o, (root, dtype)) -> if level root = step then Some(root, o, dtype) else None)
                let feeds = fused.Steps[step] |> Array.map (streams c)
                let kernel stores feeds seen =
                    Emit.kernel scalars fused.Slot
                        { Graph = g; Stores = stores; Streams = feeds; TypeOf = (fun s -> typeIn s members.Head); SourceOf = (fun s -> sourceNumber[s]); IsPoint = (fun s -> not (request.Vectors.Contains s)); Seen = seen }
                kernels[step][k] <- kernel stores feeds seen
                for m in fused.Matrices[step] do
                    // A matrix is looked at for NaN as a whole.
                    let one (stream: Node) = kernel [] (Array.singleton (Some [| stream |])) (HashSet(read c)) |> nonNull
                    match streams c m with
                    | Some streams -> matrices[struct (m.Id, k)] <- Array.map one streams
                    | None -> ()
                seen.UnionWith(Emit.sourcesOf (seq { for root, _, _ in stores do root
                                                     for f in feeds do yield! defaultArg f [||] }))

        let results = List<int>()
        let resultOf = Dictionary<int, int>()
        let scalarResults =
            scalarRoots |> List.map (fun n ->
                match n.Op with
                | Const v -> ScalarResult.Known v
                | _ ->
                    let s = scalars.Index n
                    if resultOf.TryAdd(s, results.Count) then
                        results.Add s
                    ScalarResult.Result resultOf[s])

        let classOf = Dictionary<int, int>()
        classes |> Array.iteri (fun k (_, _, members) -> for i in members do classOf[i] <- k)
        let scoped = reachable roots |> Seq.exists (fun n -> match n.Op with Restrict _ | Choose _ -> true | _ -> false)
        /// What is copied is compared among the sources that have a part in the result there, as what is computed is read from those.
        let takesPart i =
            if scoped && not (classOf.ContainsKey i) then
                let here = roots |> List.map (Passes.simplifyFor g set set[i]) |> sourcesMentioned |> HashSet
                fun s -> s = request.Reference || here.Contains s
            else
                fun _ -> true
        let tensors =
            [| for i in planned do
                   let t = set[i]
                   let takesPart = takesPart i
                   PlanTensor(t.Name, t.Shape, t.Layer, (match classOf.TryGetValue i with | true, k -> k | _ -> -1),
                              [| for s in mentioned -> if takesPart s then found[s][i] else null |]) |]
        let outputsOf =
            [| for o in request.Outputs do
                   let metadata = Dictionary<string, string>()
                   for key, value in o.Metadata do
                       metadata[key] <- value
                   PlanOutput(o.Path, [| for i in planned -> o.DTypes[i] |], metadata, Stack = Option.toNullable o.Stack, Folder = Option.toObj o.Folder) |]
        let keptIn = kept |> List.map (fun k -> groups |> Array.map (fun group -> group.Resolve k))
        let isKept (m: Node) = keptIn |> List.exists (Array.exists (fun n -> n.Id = m.Id))
        let ops =
            fused.Matrices |> Array.map (Array.map (fun m ->
                let streams = Array.create<IReadOnlyList<ClassKernel> | null> classes.Length null
                for k in 0 .. classes.Length - 1 do
                    match matrices.TryGetValue(struct (m.Id, k)) with
                    | true, kernels -> streams[k] <- kernels
                    | _ -> ()
                match m.Op, Fuse.parts m with
                | Matrix kind, (_, number) ->
                    MatrixOp(kind, (match number with Some n -> scalars.Index n | None -> -1), streams, Kept = isKept m)
                | _ -> invalidOp "not a matrix"))
        let steps = Array.map3 (fun (r: Reduction[]) (k: (ClassKernel | null)[]) ops -> Step(r, k, Matrices = ops)) reductions kernels ops
        { Plan =
            ExecutionPlan([| for s in mentioned -> request.Sources[s] |], tensors, Array.ofList scalars.Definitions, steps, outputsOf, results.ToArray())
          Request = request
          Scalars = scalarResults
          Passes = List.ofSeq passes
          Classes = [| for c, _, members in classes -> { Tensors = members |> List.map (fun i -> place[i]); Roots = fused.Roots[c] } |]
          Reductions = fused.Steps
          Factors =
            [ for nodes in keptIn ->
                  [ for c in 0 .. groups.Length - 1 do
                        if nodes[c].Op.IsMatrix then
                            let struct (step, i) = fused.Slot nodes[c]
                            for t in groups[c].Members -> struct (place[t], step, i) ] ] }
