/// Every rule by what it turns into, normal forms, and that simplified graphs are worth the same as raw ones.
module Tva.Dsl.Tests.RulesTests

open System
open Xunit
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Tests.GraphSupport

let private w = writer ()
let private x, y, z = w.Src 0, w.Src 1, w.Src 2
let private k = w.Norm x
let private attn = Glob "*.attn.*"

let private become (expected: Node) (raw: Node) =
    let actual = w.Simple raw
    let expected = w.Simple expected
    Assert.True(
        (expected.Id = actual.Id),
        $"{raw.Op}: {actual.Op} {[ for a in actual.Args -> a.Op ]} is not {expected.Op} {[ for a in expected.Args -> a.Op ]}")

let private worth (v: float) raw =
    match (w.Simple raw).Op with
    | Const v' -> Assert.Equal(v, v')
    | op -> Assert.Fail $"{op} is not {v}"

[<Fact>]
let ``numbers fold`` () =
    worth 5.0 (w.Add(w.Num 2.0, w.Num 3.0))
    worth 8.0 (w.Op("pow", w.Num 2.0, w.Num 3.0))
    worth 0.0 (w.Op("lt", w.Num 2.0, w.Num 1.0))
    worth 7.0 (w.Op("fma", w.Num 2.0, w.Num 3.0, w.Num 1.0))
    worth infinity (w.Div(w.Num 1.0, w.Num 0.0))

[<Fact>]
let ``arithmetic laws`` () =
    become x (w.Mul(1.0, x))
    become x (w.Mul(x, w.Num 1.0))
    worth 0.0 (w.Mul(0.0, x))
    worth 0.0 (w.Mul(w.Op("abs", x), w.Num 0.0))
    become x (w.Add(x, w.Num 0.0))
    become x (w.Sub(x, w.Num 0.0))
    become x (w.Div(x, w.Num 1.0))
    become x (w.Op("neg", w.Op("neg", x)))
    worth 1.0 (w.Op("pow", x, w.Num 0.0))
    become x (w.Op("pow", x, w.Num 1.0))
    become (w.Mul(x, x)) (w.Op("pow", x, w.Num 2.0))
    become (w.Mul(w.Mul(x, x), x)) (w.Op("pow", x, w.Num 3.0))
    become (w.Op("sqrt", x)) (w.Op("pow", x, w.Num 0.5))
    become (w.Div(w.Num 1.0, x)) (w.Op("pow", x, w.Num -1.0))
    become x (w.Op("where", w.Num 1.0, x, y))
    become y (w.Op("where", w.Num 0.0, x, y))
    become x (w.Op("where", w.Op("lt", x, y), x, x))
    become x (w.Op("min", x, x))
    become (w.Op("abs", x)) (w.Op("abs", w.Op("abs", x)))
    become (w.Op("abs", x)) (w.Op("abs", w.Op("neg", x)))
    become (w.Op("max", x, y)) (w.Op("max", y, x))

[<Fact>]
let ``scope laws`` () =
    become x (w.Only(Everything, x))
    worth 0.0 (w.Only(attn, w.Num 0.0))
    become (w.Only(Both(attn, Layers(0, 1)), x)) (w.Only(attn, w.Only(Layers(0, 1), x)))
    become (w.Only(attn, x)) (w.Only(attn, w.Only(attn, x)))
    become x (w.Choose [ attn, x; Everything, x ])
    become (w.Choose [ attn, x; Everything, y ]) (w.Choose [ attn, x; Everything, y; Glob "b", z ])
    become x (w.Ramp [ x; x ])
    // Without an `everything` there may be tensors that nothing selects.
    Assert.True((w.Simple(w.Choose [ attn, x ])).Op.IsChoose)

[<Fact>]
let ``reduction laws`` () =
    let zero = w.Num 0.0
    worth 0.0 (w.Reduce(ReduceKind.Sum, Extent.All, [ zero ]))
    worth 0.0 (w.Dot(w.Sub(x, x), y))
    worth 3.0 (w.Reduce(ReduceKind.MaxAbs, Extent.All, [ w.Num -3.0 ]))
    worth 3.0 (w.Reduce(ReduceKind.Quantile, Extent.Tensor, [ w.Num 3.0; w.Num 0.5 ]))
    become (w.Dot(x, y)) (w.Dot(y, x))
    become (w.Numel Extent.All) (w.Graph.Make(Numel Extent.All, [| x |], Tva.Dsl.Span.None))
    become x (w.Trim(x, w.Num 1.0, Extent.Tensor))
    worth 0.0 (w.Trim(x, w.Num 0.0, Extent.Tensor))
    worth 0.0 (w.Trim(zero, w.Num 0.5, Extent.Tensor))
    become x (w.Drop(x, 0.0, 7.0))
    worth 0.0 (w.Drop(x, 1.0, 7.0))
    worth 0.0 (w.Drop(zero, 0.5, 7.0))

[<Fact>]
let ``sums have one form`` () =
    let task = w.Sub(y, x)
    become y (w.Add(x, task))
    become (w.Linear [ w.Num 0.5, x; w.Num 0.5, y ]) (w.Add(x, w.Mul(0.5, task)))
    worth 0.0 (w.Sub(w.Add(x, y), w.Add(y, x)))
    become (w.Mul(3.0, x)) (w.Add(x, w.Mul(2.0, x)))
    become (w.Add(w.Mul(x, k), w.Mul(k, y))) (w.Mul(k, w.Add(x, y)))
    become (w.Linear [ w.Num 0.25, x ]) (w.Div(x, w.Num 4.0))
    become (w.Add(x, w.Num 3.0)) (w.Sub(w.Add(x, w.Num 4.0), w.Num 1.0))
    become (w.Op("abs", x)) (w.Op("abs", w.Add(x, w.Mul(0.0, y))))
    become (w.Op("fma", w.Num 2.0, x, y)) (w.Add(w.Add(x, y), x))
    Assert.Equal(Linear, (w.Simple(w.Add(x, task |> fun t -> w.Mul(0.5, t)))).Op)

[<Fact>]
let ``ten tenths of a task leave nothing of the base`` () =
    let sum = (x, [ 1..10 ]) ||> List.fold (fun acc i -> w.Add(acc, w.Mul(0.1, w.Sub(w.Src(10 + i), x))))
    Assert.DoesNotContain(x, reachable [ w.Simple sum ])

[<Fact>]
let ``numbers are polynomials`` () =
    let t = w.Late 0
    worth 1.0 (w.Add(t, w.Sub(w.Num 1.0, t)))
    become k (w.Add(w.Mul(w.Sub(w.Num 1.0, t), k), w.Mul(t, k)))
    worth 0.0 (w.Sub(w.Mul(w.Add(t, k), w.Add(t, k)), w.Add(w.Mul(t, t), w.Add(w.Mul(2.0, w.Mul(t, k)), w.Mul(k, k)))))
    worth 1.0 (w.Add(w.Div(t, w.Add(t, k)), w.Div(k, w.Add(t, k))))
    worth 2.0 (w.Div(w.Mul(2.0, w.Add(t, k)), w.Add(t, k)))
    become x (w.Add(w.Mul(w.Sub(w.Num 1.0, t), x), w.Mul(t, x)))
    // A weighted average has weight 1 whatever its weights.
    worth 1.0 (w.Div(w.Add(w.Mul(k, w.Num 1.0), w.Mul(t, w.Num 1.0)), w.Add(k, t)))

[<Fact>]
let ``schedules and choices are linear`` () =
    let up, down = w.Ramp [ w.Num 0.0; w.Num 1.0 ], w.Ramp [ w.Num 1.0; w.Num 0.0 ]
    worth 1.0 (w.Add(up, down))
    become down (w.Sub(w.Num 1.0, up))
    become k (w.Add(w.Mul(down, k), w.Mul(up, k)))
    let a = w.Choose [ attn, w.Num 0.3; Everything, w.Num 0.75 ]
    let b = w.Choose [ attn, w.Num 0.7; Everything, w.Num 0.25 ]
    worth 1.0 (w.Add(a, b))
    // Where nothing is chosen the value is 0, and 1 more is 1.
    Assert.True((w.Simple(w.Add(w.Num 1.0, w.Choose [ attn, w.Num 0.3 ]))).Op.IsLinear)
    become (w.Choose [ attn, w.Num 0.09; Everything, w.Num 0.5625 ]) (w.Mul(a, a))

[<Fact>]
let ``a restriction of a sum is a sum of restrictions`` () =
    become (w.Add(x, w.Sub(w.Only(attn, y), w.Only(attn, x)))) (w.Add(x, w.Only(attn, w.Sub(y, x))))

[<Fact>]
let ``late numbers are bound`` () =
    let n = w.Add(w.Mul(w.Late 3, x), w.Mul(w.Late 4, y))
    let bound = Passes.bind w.Graph (fun i -> if i = 3 then Some(Const 1.0) else None) n
    become (w.Add(x, w.Mul(w.Late 4, y))) bound
    become x (Passes.bind w.Graph (fun i -> Some(Const(if i = 3 then 1.0 else 0.0))) n)

[<Fact>]
let ``a node as it is for one tensor`` () =
    let tensors = [| for name in [ "l.0.attn.w"; "l.1.mlp.w"; "l.2.attn.w"; "norm.w"; "embed.w" ] -> TensorInfo(name, DType.F32, Shape(2L), 0, 0L) |]
    let at i n = Passes.simplifyFor w.Graph tensors tensors[i] n
    let number i n = match (at i n).Op with Const v -> v | op -> failwith $"{op}"
    let ramp = w.Ramp [ w.Num 2.0; w.Num 4.0 ]
    Assert.Equal<float list>([ 2.0; 3.0; 4.0; 4.0; 2.0 ], [ for i in 0..4 -> number i ramp ])
    Assert.Equal(y.Id, (at 0 (w.Add(x, w.Only(attn, w.Sub(y, x))))).Id)
    Assert.Equal(x.Id, (at 1 (w.Add(x, w.Only(attn, w.Sub(y, x))))).Id)
    Assert.Equal(0.0, number 1 (w.Only(Names [ "l.0.attn.w" ], w.Num 1.0)))

[<Fact>]
let ``long chains and wide sums take no time`` () =
    onBigStack (fun () ->
        let w = writer ()
        let base' = w.Src 0
        let tasks = (base', [ 1..1000 ]) ||> List.fold (fun acc i -> w.Add(acc, w.Mul(0.3, w.Sub(w.Src i, base'))))
        let r = w.Simple tasks
        Assert.Equal(Linear, r.Op)
        Assert.Equal(1001, (pairs r).Length)
        let deep = (base', [ 1..5000 ]) ||> List.fold (fun acc i -> w.Op((if i % 2 = 0 then "abs" else "add"), if i % 2 = 0 then [| acc |] else [| acc; w.Src(i % 7) |]))
        Assert.True((w.Simple deep).Op.IsApply)
        let chain = (base', [ 1..5000 ]) ||> List.fold (fun acc i -> w.Add(acc, w.Src(i % 3)))
        Assert.Equal(3, (pairs (w.Simple chain)).Length)
        // x doubled fifty times over: the graph is small, its expansion isn't.
        let doubled = (base', [ 1..50 ]) ||> List.fold (fun acc _ -> w.Add(acc, acc))
        Assert.Equal(Const(2.0 ** 50.0), (w.Simple doubled).Args[0].Op))

let private names = [ "l.0.attn.w"; "l.0.mlp.w"; "l.1.attn.w"; "l.2.mlp.w"; "embed.w" ]

let private world =
    let random = Random 5
    { Names = names
      Layers = [ 0; 0; 1; 2; -1 ]
      Values = [| for _ in 0..3 -> [| for t in 0..4 -> [| for _ in 0..t -> Math.Round(random.NextDouble() * 4.0 - 2.0, 2) |] |] |] }

/// A random expression; numbers below `numeric`, tensors otherwise.
let rec private grow (w: Writer) (r: Random) depth numeric : Node =
    let num d = grow w r d true
    let ten d = grow w r d false
    let scope () =
        match r.Next 4 with
        | 0 -> attn
        | 1 -> Layers(1, 2)
        | 2 -> Except attn
        | _ -> Names [ "embed.w"; "l.0.mlp.w" ]
    if depth = 0 then
        if numeric then w.Num(float (r.Next(-3, 4)) / 2.0) else w.Src(r.Next 4)
    elif numeric then
        match r.Next 10 with
        | 0 -> w.Add(num (depth - 1), num (depth - 1))
        | 1 -> w.Sub(num (depth - 1), num (depth - 1))
        | 2 -> w.Mul(num (depth - 1), num (depth - 1))
        | 3 -> w.Div(num (depth - 1), w.Add(w.Num 1.5, w.Op("abs", num (depth - 1))))
        | 4 -> w.Ramp [ num (depth - 1); num (depth - 1); num 0 ]
        | 5 -> w.Choose [ scope (), num (depth - 1); Everything, num (depth - 1) ]
        | 6 -> w.Reduce((if r.Next 2 = 0 then ReduceKind.Sum else ReduceKind.MaxAbs), (if r.Next 2 = 0 then Extent.All else Extent.Tensor), [ ten (depth - 1) ])
        | 7 -> w.Op("tanh", num (depth - 1))
        | 8 -> w.Only(scope (), num (depth - 1))
        | _ -> w.Num(float (r.Next(-3, 4)) / 2.0)
    else
        match r.Next 12 with
        | 0
        | 1 -> w.Add(ten (depth - 1), ten (depth - 1))
        | 2
        | 3 -> w.Sub(ten (depth - 1), ten (depth - 1))
        | 4 -> w.Mul(num (depth - 1), ten (depth - 1))
        | 5 -> w.Div(ten (depth - 1), w.Num 2.0)
        | 6 -> w.Only(scope (), ten (depth - 1))
        | 7 -> w.Op("neg", ten (depth - 1))
        | 8 -> w.Mul(w.Op("tanh", ten (depth - 1)), w.Op("tanh", ten (depth - 1)))
        | 9 -> w.Op("where", w.Op("lt", w.Num 0.0, w.Src(r.Next 4)), ten (depth - 1), ten (depth - 1))
        | 10 -> w.Op("add", ten (depth - 1), num (depth - 1))
        | _ -> w.Choose [ scope (), ten (depth - 1); Everything, ten (depth - 1) ]

let private close (a: float[][]) (b: float[][]) =
    Array.forall2 (fun (a: float[]) (b: float[]) ->
        let n = max a.Length b.Length
        let at (v: float[]) i = if v.Length = 1 then v[0] else v[i]
        Seq.forall (fun i -> abs (at a i - at b i) <= 1e-8 * (1.0 + abs (at a i))) (seq { 0 .. n - 1 })) a b

[<Fact>]
let ``simplified is worth the same as raw`` () =
    for seed in 1..1500 do
        let w = writer ()
        let r = Random seed
        let raw = grow w r (1 + seed % 5) (seed % 3 = 0)
        let simple = w.Simple raw
        Assert.Empty(Passes.verify [ simple ])
        Assert.Equal(simple.Id, (w.Simple simple).Id)
        Assert.True(close (evaluate world raw) (evaluate world simple), $"seed {seed}")

[<Fact>]
let ``as it is for one tensor is worth the same there`` () =
    let infos = [| for n in names -> TensorInfo(n, DType.F32, Shape(1L), 0, 0L) |]
    for seed in 1..400 do
        let w = writer ()
        let r = Random(seed + 10000)
        let raw = grow w r (1 + seed % 5) (seed % 3 = 0)
        let expected = evaluate world raw
        for t in 0..4 do
            let special = Passes.simplifyFor w.Graph infos infos[t] raw
            Assert.True(close [| expected[t] |] [| (evaluate world special)[t] |], $"seed {seed}, {names[t]}")
