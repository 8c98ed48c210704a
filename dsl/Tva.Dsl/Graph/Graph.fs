/// The algebra as a hash-consed graph: one node type for numbers and tensors alike, equal expressions are one node.
namespace Tva.Dsl.Graph

open System
open System.Collections.Generic
open Tva.Core.Execution
open Tva.Core.Ops
open Tva.Dsl

/// A number for each tensor of a list, by name; equal only to itself.
[<ReferenceEquality>]
type TensorNumbers =
    { ByName: IReadOnlyDictionary<string, float>
      /// Tensor, or Layer where it is the same within each.
      Extent: Extent }

/// What tensors of a list were called before, by name; equal only to itself.
[<ReferenceEquality>]
type TensorNames = { Before: IReadOnlyDictionary<string, string> }

/// A computation done a number of times. Its arguments are what its n numbers are at the start, then what they become in a round,
/// written over `Carried` nodes of its depth.
type Loop =
    { /// How many loops are around it: tells its numbers from theirs.
      Depth: int
      Rounds: int
      /// Which of its numbers, after the last round, this node is.
      Output: int
      /// Over what that varies.
      Over: Extent }

/// What a node computes of its arguments.
type Op =
    /// A number; as a tensor, that number everywhere.
    | Const of float
    /// The tensors of a source (index in the program's sources), as float32.
    | Source of int
    /// An op of the table on 1 to 3 arguments, numbers broadcasting into tensors.
    | Apply of op: int
    /// Σ cᵢ·xᵢ; the arguments are c₀ x₀ c₁ x₁ ..., every c coarser than an element.
    | Linear
    /// The argument where the scope selects the tensor, 0 elsewhere.
    | Restrict of TensorScope
    /// The argument of the first scope that selects the tensor; one argument per scope.
    | Choose of TensorScope list
    /// Piecewise linear over the layers from the first argument (layer 0) to the last (last layer).
    | Ramp
    /// Number of elements of the argument over an extent; needs no data.
    | Numel of Extent
    /// A reduction of the argument(s) over an extent. Dot takes two; KeepLargest and Quantile take the tensor and a number.
    | Reduce of ReduceKind * Extent
    /// The first argument where the selection (second: a KeepLargest reduction of it) keeps it, else 0.
    | Keep
    /// The first argument with each element zeroed with probability p (second, which may vary by element), by the generator seeded with the third
    /// and keyed by the tensor's name, or what it was before.
    | Drop of TensorNames option
    /// Tensors made of whole tensors taken as matrices; the arguments are the tensors and, where the kind takes one, a number.
    | Matrix of MatrixKind
    /// The rank of each element among those of its row or tensor, 0 the least to 1 the largest.
    | Rank of Extent
    /// A number that only a run can tell (what a command printed, a coefficient of a basis), and over what it varies; resolved before planning.
    | Late of number: int * extent: Extent
    /// A number for each tensor, known beforehand.
    | Given of TensorNumbers
    /// A number of a loop as it is when a round begins; of extent Element a vector, which none of is left once the loop is made.
    | Carried of depth: int * index: int * extent: Extent
    | Loop of Loop

/// A node; nodes are compared by identity, which hash-consing makes equality of meaning.
[<ReferenceEquality>]
type Node =
    { Id: int
      Op: Op
      Args: Node[]
      /// Over what it varies: All for one number, Element for a tensor.
      Extent: Extent
      /// The depths of loops whose numbers it is computed from and that it is inside of, as bits.
      Inside: int
      /// Where it was first written, for messages.
      Origin: Span }

/// Makes nodes, each only once. Not thread-safe.
type Graph() =
    let nodes = Dictionary<struct (Op * string), Node>()

    let extentOf op (args: Node[]) =
        let widest = if args.Length = 0 then Extent.All else args |> Array.map _.Extent |> Array.max
        match op with
        | Source _
        | Keep
        | Matrix _
        | Drop _
        | Rank _ -> Extent.Element
        | Ramp
        | Choose _ -> max Extent.Tensor widest
        | Restrict _ -> max Extent.Tensor widest
        | Numel e
        | Reduce(_, e) -> e
        | Const _ -> Extent.All
        | Late(_, e) -> e
        | Given numbers -> numbers.Extent
        | Carried(_, _, e) -> e
        | Loop l -> l.Over
        | Apply _
        | Linear -> widest

    let insideOf op (args: Node[]) =
        let inner = (0, args) ||> Array.fold (fun bits a -> bits ||| a.Inside)
        match op with
        | Carried(depth, _, _) -> 1 <<< depth
        | Loop l -> inner &&& ~~~(1 <<< l.Depth)
        | _ -> inner

    /// The node of that meaning.
    member _.Make(op: Op, args: Node[], origin: Span) =
        let key = struct (op, String.Join(",", args |> Array.map _.Id))
        match nodes.TryGetValue key with
        | true, node -> node
        | _ ->
            let node = { Id = nodes.Count; Op = op; Args = args; Extent = extentOf op args; Inside = insideOf op args; Origin = origin }
            nodes[key] <- node
            node

    member g.Const(value: float) = g.Make(Const value, [||], Span.None)
    member g.Apply(name: string, origin: Span, [<ParamArray>] args: Node[]) = g.Make(Apply(OpTable.IndexOf name), args, origin)
    /// How many nodes there are, for reports.
    member _.Count = nodes.Count

[<AutoOpen>]
module NodePatterns =

    /// A number known now.
    [<return: Struct>]
    let (|Number|_|) (n: Node) =
        match n.Op with
        | Const v -> ValueSome v
        | _ -> ValueNone

    let opNumber = OpTable.IndexOf

    /// What a pass over the data finds out before others can use it.
    let isFound (n: Node) = n.Op.IsReduce || n.Op.IsMatrix

    /// The (coefficient, term) pairs of a Linear node.
    let pairs (n: Node) = [ for i in 0..2 .. n.Args.Length - 1 -> n.Args[i], n.Args[i + 1] ]

    /// All nodes reachable from the roots, arguments before users.
    let reachable (roots: Node seq) =
        let seen = HashSet<int>()
        let order = List<Node>()
        let rec visit (n: Node) =
            if seen.Add n.Id then
                Array.iter visit n.Args
                order.Add n
        Seq.iter visit roots
        order

    /// Rebuilds the graph under the roots with some nodes replaced; what is below a replaced node is not looked at.
    let replace (g: Graph) (instead: Node -> Node option) (roots: Node list) =
        let memo = Dictionary<int, Node>()
        let rec go (n: Node) : Node =
            match memo.TryGetValue n.Id with
            | true, r -> r
            | _ ->
                let r =
                    match instead n with
                    | Some other -> other
                    | None when n.Args.Length = 0 -> n
                    | None ->
                        let args = n.Args |> Array.map go
                        if Array.forall2 (fun (a: Node) (b: Node) -> a.Id = b.Id) args n.Args then n else g.Make(n.Op, args, n.Origin)
                memo[n.Id] <- r
                r
        roots |> List.map go
