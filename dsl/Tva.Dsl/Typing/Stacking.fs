/// Expressions under new tensor names: from what a part of a stack computes over its own model to the same over the stack, where
/// scopes, schedules and numbers by layer go on meaning the names and layers that the part's text speaks of.
namespace Tva.Dsl.Typing

open System.Collections.Generic
open Tva.Core.Checkpoints
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph

/// What can't be said of the stack without meaning something else than of the model.
exception LeavesLayers of node: Node * what: string * help: string

/// A part of a stack: some of the tensors of its set, each with the name it has in the stack.
type StackedPart =
    { Number: int
      /// The source that lists the stack's tensors.
      Stack: int
      /// The source that lists the part's own.
      Reference: int
      Renamed: (TensorInfo * string) list
      /// The stack's layers that are the part's.
      Layers: TensorScope }

module Stacking =

    /// The name with another number for its layer: for the first integer component.
    let renumber (name: string) (layer: int) =
        let parts = name.Split '.'
        let at = parts |> Array.findIndex (fun p -> p.Length > 0 && p |> Seq.forall System.Char.IsAsciiDigit)
        parts[at] <- string layer
        System.String.Join('.', parts)

    /// The name with a star for its layer: tensors of all layers that are alike.
    let pattern (name: string) =
        let parts = name.Split '.'
        match parts |> Array.tryFindIndex (fun p -> p.Length > 0 && p |> Seq.forall System.Char.IsAsciiDigit) with
        | Some at ->
            parts[at] <- "*"
            System.String.Join('.', parts)
        | None -> name

    /// The source under the stack's names: at each of its layers the one of that number that the layer there is in its own model, so that
    /// parts of one model read from one source.
    let private view (program: Program) (part: StackedPart) (source: int) =
        let layers = program.Stacks[part.Stack].Layers
        let checkpoint = program.Sources[source].Checkpoint
        let copies = checkpoint.Tensors |> Seq.exists (fun t -> not (t.DType.IsFloating()))
        program.View({ Of = source; Layers = layers; Part = (if copies then Some(struct (part.Stack, part.Number)) else None) }, fun () ->
            let shown = HashSet(part.Renamed |> List.map snd)
            let byLayer = checkpoint.Tensors |> Seq.groupBy _.Layer |> Seq.map (fun (layer, ts) -> layer, Array.ofSeq ts) |> dict
            let at layer = match byLayer.TryGetValue layer with | true, ts -> ts | _ -> [||]
            let tensors =
                [| for i, layer in List.indexed layers do
                       for t in at layer -> RenamedTensor(renumber t.Name i, checkpoint, t, t.DType)
                   for t in at -1 -> RenamedTensor(t.Name, checkpoint, t, t.DType) |]
                |> Array.filter (fun t -> t.DType.IsFloating() || shown.Contains t.Name)
            new RenamedCheckpoint(checkpoint.Path, checkpoint.Metadata, tensors))

    /// The node over the stack that computes at the part's tensors what it computes at those that they are taken from.
    let rebuild (program: Program) (part: StackedPart) (node: Node) : Node =
        let g = program.Graph
        let memo = program.Stacks[part.Stack].Rebuilt
        let own = program.Tensors part.Reference
        let chosen pick = part.Renamed |> List.filter (fst >> pick) |> List.map snd
        let scopeOf scope =
            match chosen (fun t -> TensorScope.selects t.Name t.Layer scope) with
            | names when names.Length = part.Renamed.Length -> Everything
            | names -> Names names
        let earlier = lazy { Before = Dictionary(dict [ for t, name in part.Renamed -> name, t.Name ]) }
        /// Draws go by the name that a tensor had first.
        let before (names: TensorNames option) =
            match names with
            | None -> earlier.Value
            | Some n -> { Before = Dictionary(dict [ for t, name in part.Renamed -> name, (match n.Before.TryGetValue t.Name with | true, first -> first | _ -> t.Name) ]) }
        let leave node what help = raise (LeavesLayers(node, what, help))
        /// A schedule is what it is at the old places: a number for each tensor, plain where it is 0 or 1 so that terms vanish there.
        let schedule (ramp: Node) (args: Node[]) =
            let place = part.Renamed |> List.map (fun (t, name) -> name, Passes.position own t)
            let at position =
                match Passes.rampAt g position (g.Make(Ramp, args, ramp.Origin)) with
                | n when n.Extent < Extent.Element -> Passes.simplify g n
                | n -> n
            let values = place |> List.map (fun (name, position) -> name, at position)
            let whole = [ 0.0; 1.0 ] |> List.choose (fun v ->
                match values |> List.filter (fun (_, n) -> n.Op = Const v) |> List.map fst with
                | [] -> None
                | names -> Some(Names names, g.Const v))
            let rest = values |> List.filter (fun (_, n) -> n.Op <> Const 0.0 && n.Op <> Const 1.0)
            let others =
                if rest |> List.forall (fun (_, n) -> n.Op.IsConst) then
                    match rest with
                    | [] -> []
                    | _ ->
                        let number (n: Node) = match n.Op with Const v -> v | _ -> nan
                        let byName = dict [ for name, n in values -> name, number n ]
                        let numbers = Dictionary(byName)
                        // A number is asked for at every tensor of the stack; at others' it is not used.
                        for t in program.Tensors part.Stack do
                            numbers.TryAdd(t.Name, 0.0) |> ignore
                        [ Names(rest |> List.map fst), g.Make(Given { ByName = numbers; Extent = Extent.Tensor }, [||], ramp.Origin) ]
                else
                    rest |> List.groupBy snd |> List.map (fun (n, members) -> Names(members |> List.map fst), n)
            match whole @ others with
            | [ _, n ] -> n
            | many -> g.Make(Choose(many |> List.map fst), many |> List.map snd |> Array.ofList, ramp.Origin)
        let rec go (n: Node) : Node =
            let key = struct (part.Number, n.Id)
            match memo.TryGetValue key with
            | true, r -> r
            | _ ->
                let r = make n
                memo[key] <- r
                r
        and make (n: Node) =
            let args () = n.Args |> Array.map go
            let same op = g.Make(op, args (), n.Origin)
            match n.Op with
            | Source s when s >= 0 -> g.Make(Source(view program part s), [||], n.Origin)
            | Restrict s -> same (Restrict(scopeOf s))
            | Choose scopes -> same (Choose(scopes |> List.map scopeOf))
            | Ramp -> schedule n (args ())
            | Given numbers ->
                let renamed = Dictionary<string, float>()
                for t in program.Tensors part.Stack do
                    renamed[t.Name] <- 0.0
                for t, name in part.Renamed do
                    renamed[name] <- (match numbers.ByName.TryGetValue t.Name with | true, v -> v | _ -> 0.0)
                g.Make(Given { ByName = renamed; Extent = numbers.Extent }, [||], n.Origin)
            | Numel Extent.All -> g.Const(own |> Seq.filter _.DType.IsFloating() |> Seq.sumBy (fun t -> float t.Shape.Elements))
            | Reduce(_, Extent.All) -> leave n "a number over the whole model" "take it over tensors (by = \"tensor\") or layers, or save the part first and stack what is saved"
            | Late(_, extent) when extent > Extent.All ->
                leave n "a basis by layer or by tensor" "save the part first and stack what is saved"
            | Drop names -> same (Drop(Some(before names)))
            | Reduce(kind, extent) ->
                let tensors = match kind with ReduceKind.Dot -> 2 | _ -> 1
                // At other parts' tensors there is nothing to read.
                let inside = args () |> Array.mapi (fun i a -> if i < tensors then g.Make(Restrict part.Layers, [| a |], n.Origin) else a)
                g.Make(Reduce(kind, extent), inside, n.Origin)
            | _ when n.Args.Length = 0 -> n
            | op -> same op
        go node
