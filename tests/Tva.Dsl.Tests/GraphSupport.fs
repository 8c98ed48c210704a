/// What the graph and plan tests share: short ways to write graphs, checkpoints that exist only as headers, and an evaluator of its own.
module Tva.Dsl.Tests.GraphSupport

open System
open System.Collections.Generic
open System.Threading
open Tva.Core.Checkpoints
open Tva.Core.Execution
open Tva.Core.Ops
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph

/// Graphs as one would write them on paper.
type Writer(g: Graph) =
    let make op args = g.Make(op, Array.ofList args, Span.None)
    member _.Graph = g
    member _.Num(v: float) = g.Const v
    member _.Src i = make (Source i) []
    member _.Late i = make (Late(i, Extent.All)) []
    member _.Op(name: string, [<ParamArray>] args: Node[]) = g.Apply(name, Span.None, args)
    member w.Add(a, b) = w.Op("add", a, b)
    member w.Sub(a, b) = w.Op("sub", a, b)
    member w.Mul(a, b) = w.Op("mul", a, b)
    member w.Mul(a: float, b) = w.Op("mul", g.Const a, b)
    member w.Div(a, b) = w.Op("div", a, b)
    member _.Only(scope, x) = make (Restrict scope) [ x ]
    member _.Choose(cases: (TensorScope * Node) list) = make (Choose(List.map fst cases)) (List.map snd cases)
    member _.Ramp(args: Node list) = make Ramp args
    member _.Numel e = make (Numel e) []
    member _.Reduce(kind, extent, args: Node list) = make (Reduce(kind, extent)) args
    member w.Dot(x, y) = w.Reduce(ReduceKind.Dot, Extent.All, [ x; y ])
    member w.Norm x = w.Op("sqrt", w.Dot(x, x))
    member w.Trim(x, density: Node, extent) = make Keep [ x; w.Reduce(ReduceKind.KeepLargest, extent, [ x; density ]) ]
    member w.Drop(x, p: float, seed: float) = make (Drop None) [ x; w.Num p; w.Num seed ]
    member w.Drop(x, p: Node, seed: float) = make (Drop None) [ x; p; w.Num seed ]
    member _.Rank x = make (Rank Extent.Tensor) [ x ]
    member _.Linear(terms: (Node * Node) list) = make Linear (terms |> List.collect (fun (k, x) -> [ k; x ]))
    member _.Simple n = Passes.simplify g n

let writer () = Writer(Graph())

/// A checkpoint of which only the header exists.
type FakeCheckpoint(path: string, tensors: (string * DType * int64 list) list) =
    inherit Checkpoint()
    let infos = [| for name, dtype, dims in tensors -> TensorInfo(name, dtype, Shape(Array.ofList dims), 0, 0L) |]
    let byName = dict [ for t in infos -> t.Name, t ]
    override _.Path = path
    override _.Files = [| path |]
    override _.Tensors = infos
    override _.Metadata = Dictionary()
    override _.Find name : TensorInfo | null =
        match byName.TryGetValue name with
        | true, t -> t
        | _ -> null
    override _.Fingerprint = path
    override _.Read(_, _, _) = failwith "no bytes"
    override _.Prefetch(_, _, _) = ()
    override _.Dispose() = ()

/// Runs on a stack like the front end's.
let onBigStack (work: unit -> 'a) : 'a =
    let cell = ref None
    let t = Thread((fun () -> try cell.Value <- Some(Choice1Of2(work ())) with e -> cell.Value <- Some(Choice2Of2 e)), 256 * 1024 * 1024)
    t.Start()
    t.Join()
    match cell.Value with
    | Some(Choice1Of2 v) -> v
    | Some(Choice2Of2 e) -> raise (Exception("on the big stack: " + string e))
    | None -> failwith "no result"

/// A model in float64: tensors with values, per source.
type World = { Names: string list; Layers: int list; Values: float[][][] }

/// Stands for the generator: any function of seed, name and index does.
let uniform (seed: float) (name: string) (i: int) =
    let h = (int seed + 7) * 7919 + (name |> Seq.sumBy int) * 31 + i * 104729
    float (abs (h * 48271 % 65537)) / 65537.0

/// Which of the numbers are among the int(density·n) largest magnitudes, the earlier first among equals.
let largest (density: float) (values: float list) =
    let n = int (density * float values.Length)
    let kept = values |> List.indexed |> List.sortBy (fun (i, v) -> -(abs v), i) |> List.truncate n |> List.map fst |> Set.ofList
    [ for i in 0 .. values.Length - 1 -> kept.Contains i ]

/// Where each stands among all in ascending order, 0 to 1, the earlier first among equals.
let rank (values: float[]) =
    let ranks = Array.zeroCreate<float> values.Length
    values |> Array.indexed |> Array.sortBy (fun (i, v) -> v, i) |> Array.iteri (fun k (i, _) -> ranks[i] <- float k / float (values.Length - 1))
    if values.Length = 1 then [| 0.5 |] else ranks

/// What a node is worth at every element, straight from what the ops are defined to mean; no code of the passes is used.
let evaluate (world: World) (node: Node) : float[][] =
    let count = world.Names.Length
    let last = List.max world.Layers |> max 0
    let memo = Dictionary<int, float[][]>(HashIdentity.Structural)
    let at (a: float[]) i = if a.Length = 1 then a[0] else a[i]
    let zip (args: float[][] list) (f: float list -> float) =
        [| for t in 0 .. count - 1 ->
               let cols = args |> List.map (fun a -> a[t])
               let n = cols |> List.map Array.length |> List.max
               Array.init n (fun i -> f (cols |> List.map (fun c -> at c i))) |]
    let rec go (n: Node) : float[][] =
        match memo.TryGetValue n.Id with
        | true, v -> v
        | _ ->
            let args = n.Args |> Array.map go |> List.ofArray
            let v =
                match n.Op with
                | Const v -> Array.create count [| v |]
                | Source s -> world.Values[s]
                | Apply op -> zip args (fun v -> let v = Array.ofList v in OpTable.All[op].Host.Invoke(v[0], (if v.Length > 1 then v[1] else 0.0), (if v.Length > 2 then v[2] else 0.0)))
                | Linear -> zip args (fun v -> v |> List.chunkBySize 2 |> List.sumBy (fun p -> p[0] * p[1]))
                | Restrict s -> [| for t in 0 .. count - 1 -> if TensorScope.selects world.Names[t] world.Layers[t] s then args[0][t] else [| 0.0 |] |]
                | Choose scopes ->
                    [| for t in 0 .. count - 1 ->
                           match scopes |> List.tryFindIndex (TensorScope.selects world.Names[t] world.Layers[t]) with
                           | Some i -> args[i][t]
                           | None -> [| 0.0 |] |]
                | Ramp ->
                    [| for t in 0 .. count - 1 ->
                           let place =
                               if world.Names[t].Split('.') |> Array.contains "norm" then 1.0
                               elif world.Layers[t] < 0 || last = 0 then 0.0
                               else float world.Layers[t] / float last
                           let x = place * float (args.Length - 1)
                           let i = min (int x) (args.Length - 1)
                           let j = min (i + 1) (args.Length - 1)
                           let a, b = args[i][t], args[j][t]
                           Array.init (max a.Length b.Length) (fun e -> at a e + (x - float i) * (at b e - at a e)) |]
                | Numel Extent.All -> Array.create count [| world.Values[0] |> Array.sumBy (fun t -> float t.Length) |]
                // Keep looks at the selection itself.
                | Reduce(ReduceKind.KeepLargest, _) -> Array.create count [| nan |]
                | Reduce(kind, extent) ->
                    let f (ts: int list) =
                        let size t = world.Values[0].[t].Length
                        let stream k = [ for t in ts do for i in 0 .. size t - 1 -> at args[k].[t] i ]
                        match kind with
                        | ReduceKind.Sum -> List.sum (stream 0)
                        | ReduceKind.Dot -> List.sum (List.map2 (*) (stream 0) (stream 1))
                        | ReduceKind.SumAbs -> stream 0 |> List.sumBy abs
                        | ReduceKind.MaxAbs -> stream 0 |> List.map abs |> List.max
                        | ReduceKind.Min -> List.min (stream 0)
                        | ReduceKind.Max -> List.max (stream 0)
                        | ReduceKind.CountNonzero -> stream 0 |> List.filter ((<>) 0.0) |> List.length |> float
                        | k -> failwith $"{k} is not for this evaluator"
                    match extent with
                    | Extent.Layer -> [| for t in 0 .. count - 1 -> [| f [ for u in 0 .. count - 1 do if world.Layers[u] = world.Layers[t] then u ] |] |]
                    | Extent.All -> Array.create count [| f [ 0 .. count - 1 ] |]
                    | Extent.Tensor -> [| for t in 0 .. count - 1 -> [| f [ t ] |] |]
                    | e -> failwith $"{e} is not for this evaluator"
                | Keep ->
                    let selection = n.Args[1]
                    let density = go selection.Args[1]
                    let x = args[0]
                    let full t = Array.init (world.Values[0].[t].Length) (fun i -> at x[t] i)
                    let groups = if selection.Extent = Extent.All then [ [ 0 .. count - 1 ] ] else [ for t in 0 .. count - 1 -> [ t ] ]
                    let result = Array.init count full
                    for ts in groups do
                        let places = [ for t in ts do for i in 0 .. result[t].Length - 1 -> t, i ]
                        let kept = largest (density[ts.Head][0]) [ for t, i in places -> result[t][i] ]
                        for (t, i), k in List.zip places kept do
                            if not k then
                                result[t][i] <- 0.0
                    result
                | Drop _ ->
                    [| for t in 0 .. count - 1 ->
                           Array.init (world.Values[0].[t].Length) (fun i ->
                               if uniform (args[2].[t].[0]) world.Names[t] i < at (args[1].[t]) i then 0.0 else at (args[0].[t]) i) |]
                | Rank Extent.Tensor -> [| for t in 0 .. count - 1 -> rank (Array.init (world.Values[0].[t].Length) (at (args[0].[t]))) |]
                | op -> failwith $"{op} is not for this evaluator"
            memo[n.Id] <- v
            v
    go node
