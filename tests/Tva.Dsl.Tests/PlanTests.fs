/// Plans by what they cost: passes over data, kernels, sources read; and by what they compute, against an evaluator of its own.
module Tva.Dsl.Tests.PlanTests

open System
open System.Text.Json
open Xunit
open Tva.Core.Checkpoints
open Tva.Core.Execution
open Tva.Core.Kernels
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Plan
open Tva.Dsl.Tests.GraphSupport
open Tva.Dsl.Tests.PlanSimulator

let private attn = Glob "*.attn.*"

let private shapes =
    [ "embed.w", [ 4L; 3L ]; "l.0.attn.w", [ 2L; 3L ]; "l.0.mlp.w", [ 5L ]; "l.1.attn.w", [ 2L; 3L ]; "l.1.mlp.w", [ 5L ]; "l.2.attn.w", [ 2L; 3L ]; "l.2.mlp.w", [ 5L ]; "norm.w", [ 3L ] ]

let private checkpoint dtype i : Checkpoint =
    new FakeCheckpoint($"zoo/m{i}.safetensors", [ for name, dims in shapes -> name, dtype, dims ])

let private request (w: Writer) (sources: Checkpoint[]) (outputs: Node list) scalars =
    { Graph = w.Graph
      Sources = sources
      Reference = 0
      Vectors = System.Collections.Generic.HashSet<int>()
      Outputs =
        [ for i, root in List.indexed outputs ->
              { Root = root; Path = $"out{i}.safetensors"; DTypes = [| for t in sources[0].Tensors -> t.DType |]; Metadata = [ "made", "by a test" ]; Stack = None; Folder = None } ]
      Scalars = scalars
      Factors = [] }

let private planOf w count outputs scalars = Plan.make (request w [| for i in 0 .. count - 1 -> checkpoint DType.F32 i |] outputs scalars)

let private kernels (p: Planned) =
    [ for s in p.Plan.Steps do
          for k in s.Kernels do
              match k with
              | null -> ()
              | k -> k ]

let private files (k: ClassKernel) = [ for i in k.Inputs do match i with :? FileInput as f -> f.Source | _ -> () ]
let private count code (k: ClassKernel) = k.Program.Instructions |> Seq.filter (fun i -> i.Code = code) |> Seq.length
let private classOf (p: Planned) name = (p.Plan.Tensors |> Seq.find (fun t -> t.Name = name)).Class

let private kernelOf (p: Planned) step name =
    match p.Plan.Steps[step].Kernels[classOf p name] with
    | null -> failwith $"{name} has nothing to do in step {step}"
    | k -> k

let private steps (p: Planned) = p.Plan.Steps.Count

[<Fact>]
let ``a task vector folds away`` () =
    let w = writer ()
    let b, ft = w.Src 0, w.Src 1
    let p = planOf w 2 [ w.Add(b, w.Mul(0.5, w.Sub(ft, b))) ] []
    let k = Assert.Single(kernels p)
    Assert.Equal<int list>([ 0; 1 ], files k)
    let codes = [ for i in k.Program.Instructions -> i.Code ] |> List.countBy id |> Map.ofList
    Assert.Equal<Map<Code, int>>(Map [ Code.Load, 2; Code.Param, 1; Code.Apply, 2; Code.Guard, 1; Code.Store, 1 ], codes)
    Assert.Contains("out0.safetensors = m0 + 0.5 * (m1 - m0)", Explain.plan p)

[<Fact>]
let ``the fine-tuned model itself is a copy`` () =
    let w = writer ()
    let p = planOf w 2 [ w.Add(w.Src 0, w.Sub(w.Src 1, w.Src 0)) ] []
    let k = Assert.Single(kernels p)
    Assert.Equal<Code list>([ Code.Load; Code.Guard; Code.Store ], [ for i in k.Program.Instructions -> i.Code ])
    Assert.Equal("zoo/m1.safetensors", p.Plan.Sources[(files k).Head].Path)

[<Fact>]
let ``another factor is the same kernel`` () =
    let program (lambda: float) =
        let w = writer ()
        ignore (w.Op("abs", w.Num lambda))
        (kernels (planOf w 2 [ w.Add(w.Src 0, w.Mul(lambda, w.Op("tanh", w.Sub(w.Src 1, w.Src 0)))) ] [])).Head.Program
    Assert.Equal(program 0.3, program 0.7)

[<Fact>]
let ``a thousand models are one pass with few values at a time`` () =
    let w = writer ()
    let b = w.Src 0
    let sum = (b, [ 1..999 ]) ||> List.fold (fun acc i -> w.Add(acc, w.Mul(0.001 * float i, w.Sub(w.Src i, b))))
    let p = onBigStack (fun () -> planOf w 1000 [ sum ] [])
    let k = Assert.Single(kernels p)
    Assert.Equal(1, steps p)
    Assert.Equal(1000, (files k).Length)
    Assert.True(Schedule.pressure k.Program.Instructions <= 3)

[<Fact>]
let ``two sums share a pass and advance together`` () =
    let w = writer ()
    let sum (f: int -> float) = [ 0..199 ] |> List.map (fun i -> w.Mul(f i, w.Src i)) |> List.reduce (fun a b -> w.Add(a, b))
    let p = planOf w 200 [ sum (fun i -> 0.5 + float i); sum (fun i -> 1.5 + float i) ] []
    let k = Assert.Single(kernels p)
    Assert.Equal(200, count Code.Load k)
    Assert.Equal(2, count Code.Store k)
    Assert.True(Schedule.pressure k.Program.Instructions <= 5)

[<Fact>]
let ``a zero coefficient is not read`` () =
    let w = writer ()
    let p = planOf w 3 [ w.Add(w.Src 0, w.Add(w.Mul(0.0, w.Src 1), w.Sub(w.Src 2, w.Src 2))) ] []
    Assert.Equal<int list>([ 0 ], files (Assert.Single(kernels p)))

[<Fact>]
let ``a restriction is not read outside itself`` () =
    let w = writer ()
    let b = w.Src 0
    let p = planOf w 2 [ w.Add(b, w.Only(attn, w.Sub(w.Src 1, b))) ] []
    Assert.Equal(2, p.Classes.Length)
    Assert.Equal<int list>([ 1 ], files (kernelOf p 0 "l.1.attn.w"))
    Assert.Equal<int list>([ 0 ], files (kernelOf p 0 "l.1.mlp.w"))

[<Fact>]
let ``a choice of coefficients is a kernel for each, an unused model is left alone`` () =
    let w = writer ()
    let k = w.Choose [ attn, w.Num 0.5; Glob "l.*", w.Num 0.0; Everything, w.Num 1.0 ]
    let p = planOf w 2 [ w.Add(w.Src 0, w.Mul(k, w.Src 1)) ] []
    Assert.Equal(3, p.Classes.Length)
    Assert.Equal<int list>([ 0 ], files (kernelOf p 0 "l.0.mlp.w"))
    Assert.Equal(1, count Code.Param (kernelOf p 0 "l.0.attn.w"))
    Assert.Equal(0, count Code.Param (kernelOf p 0 "norm.w"))

[<Fact>]
let ``a schedule is a number per tensor, and reads nothing where it is zero`` () =
    let w = writer ()
    let t = w.Ramp [ w.Num 0.0; w.Num 1.0 ]
    let b, ft = w.Src 0, w.Src 1
    let p = planOf w 2 [ w.Add(b, w.Mul(t, w.Sub(ft, b))) ] []
    Assert.Equal<int list>([ 0 ], files (kernelOf p 0 "l.0.attn.w"))
    Assert.Equal<int list>([ 0; 1 ], files (kernelOf p 0 "l.1.attn.w"))
    Assert.Equal<int list>([ 1 ], files (kernelOf p 0 "l.2.mlp.w"))
    Assert.Equal<int list>([ 0 ], files (kernelOf p 0 "embed.w"))
    Assert.Equal<int list>([ 1 ], files (kernelOf p 0 "norm.w"))
    let perTensor = p.Plan.Scalars |> Seq.choose (function :? StaticScalar as s when s.Extent = Extent.Tensor -> Some s.Values | _ -> None) |> List.ofSeq
    Assert.All(perTensor, fun v -> Assert.Equal(0.5, v[3]))

[<Fact>]
let ``twelve layers of a schedule share one kernel`` () =
    let w = writer ()
    let names = [ for i in 0..11 -> $"h.{i}.w" ]
    let sources = [| for i in 0..1 -> new FakeCheckpoint($"m{i}", [ for n in names -> n, DType.F32, [ 8L ] ]) :> Checkpoint |]
    let t = w.Ramp [ w.Num 0.1; w.Num 0.9 ]
    let p = Plan.make (request w sources [ w.Add(w.Src 0, w.Mul(t, w.Sub(w.Src 1, w.Src 0))) ] [])
    Assert.Single(kernels p) |> ignore

let private ties (w: Writer) n =
    let d = [ for i in 1..n -> w.Trim(w.Sub(w.Src i, w.Src 0), w.Num 0.2, Extent.Tensor) ]
    let votes = d |> List.reduce (fun a b -> w.Add(a, b))
    let elected = w.Op("where", w.Op("ge", votes, w.Num 0.0), w.Num 1.0, w.Num -1.0)
    let agrees = d |> List.map (fun x -> w.Op("eq", w.Op("sign", x), elected))
    let kept = List.map2 (fun (x: Node) (a: Node) -> w.Mul(x, a)) d agrees |> List.reduce (fun a b -> w.Add(a, b))
    let divisor = agrees |> List.reduce (fun a b -> w.Add(a, b))
    w.Div(kept, w.Op("where", w.Op("lt", w.Op("abs", divisor), w.Num 1e-8), w.Num 1.0, divisor))

let private slerp (w: Writer) =
    let x, y, t = w.Src 0, w.Src 1, w.Num 0.25
    let dot a b = w.Reduce(ReduceKind.Dot, Extent.Tensor, [ a; b ])
    let size = w.Mul(w.Op("sqrt", dot x x), w.Op("sqrt", dot y y))
    let c = w.Op("clamp", w.Op("where", w.Op("eq", size, w.Num 0.0), w.Num 0.0, w.Div(dot x y, size)), w.Num -1.0, w.Num 1.0)
    let angle = w.Op("acos", c)
    let near = w.Op("gt", w.Op("abs", c), w.Num 0.9995)
    let part (s: Node) : Node = w.Op("where", near, s, w.Div(w.Op("sin", w.Mul(s, angle)), w.Op("sin", angle)))
    w.Add(w.Mul(part (w.Sub(w.Num 1.0, t)), x), w.Mul(part t, y))

[<Fact>]
let ``ties is two passes, slerp is two`` () =
    let w = writer ()
    let p = planOf w 4 [ w.Add(w.Src 0, w.Mul(0.5, ties w 3)) ] []
    Assert.Equal(2, steps p)
    Assert.Equal(3, p.Plan.Steps[0].Reductions.Count)
    Assert.Equal(3, count Code.Keep (kernelOf p 1 "embed.w"))
    Assert.Equal<int list>([ 0; 1; 2; 3 ], List.sort (files (kernelOf p 1 "embed.w")))
    let p = planOf w 2 [ slerp w ] []
    Assert.Equal(2, steps p)
    Assert.Equal(3, p.Plan.Steps[0].Reductions.Count)
    let k = kernelOf p 1 "embed.w"
    Assert.Equal(2, count Code.Param k)
    Assert.Equal(3, count Code.Apply k)

[<Fact>]
let ``a cosine of whole models used as a factor is two passes`` () =
    let w = writer ()
    let x, y = w.Src 0, w.Src 1
    let c = w.Div(w.Dot(x, y), w.Mul(w.Norm x, w.Norm y))
    let p = planOf w 2 [ w.Add(x, w.Mul(c, w.Sub(y, x))) ] [ c ]
    Assert.Equal(2, steps p)
    Assert.Equal(3, p.Plan.Steps[0].Reductions.Count)
    Assert.Equal(Some(ScalarResult.Result 0), List.tryHead p.Scalars)
    Assert.Single(p.Plan.Results) |> ignore

[<Fact>]
let ``equal reductions are one and independent ones share a pass`` () =
    let w = writer ()
    let a, b = w.Sub(w.Src 1, w.Src 0), w.Sub(w.Src 2, w.Src 0)
    let p = planOf w 3 [] [ w.Norm a; w.Norm b; w.Div(w.Dot(a, b), w.Mul(w.Norm a, w.Norm b)); w.Dot(b, a) ]
    Assert.Equal(1, steps p)
    Assert.Equal(3, p.Plan.Steps[0].Reductions.Count)
    let k = Assert.Single(kernels p)
    Assert.Equal(3, count Code.Load k)
    Assert.Equal(2, k.Program.Outputs.Count)

[<Fact>]
let ``a reduction over the model is one though classes feed it differently`` () =
    let w = writer ()
    let a = w.Sub(w.Src 1, w.Src 0)
    let n = w.Norm(w.Only(attn, a))
    let p = planOf w 2 [ w.Add(w.Src 0, w.Mul(n, a)) ] [ n ]
    Assert.Equal(2, steps p)
    Assert.Single(p.Plan.Steps[0].Reductions) |> ignore
    Assert.Null(p.Plan.Steps[0].Kernels[classOf p "norm.w"])
    Assert.Equal(0, (kernelOf p 0 "l.0.attn.w").Feeds[0].A)
    // A minimum notices the zeros outside, so they are fed.
    let least = w.Reduce(ReduceKind.Min, Extent.All, [ w.Only(attn, a) ])
    let p = planOf w 2 [] [ least ]
    let k = kernelOf p 0 "norm.w"
    Assert.Empty(k.Inputs)
    Assert.Equal(0, k.Feeds[0].A)

[<Fact>]
let ``a reduction over tensors is left alone where nobody uses it`` () =
    let w = writer ()
    let a = w.Sub(w.Src 1, w.Src 0)
    let trimmed = w.Trim(a, w.Num 0.5, Extent.Tensor)
    let p = planOf w 2 [ w.Add(w.Src 0, w.Only(attn, trimmed)) ] []
    Assert.Equal(2, steps p)
    Assert.All((kernelOf p 0 "l.0.attn.w").Files, fun f -> Assert.Equal(-1, f))
    // Outside, the result is known in the first pass and there is no second.
    Assert.Equal<int>([ 0 ], (kernelOf p 0 "norm.w").Files)
    Assert.Equal(-1, (kernelOf p 0 "norm.w").Feeds[0].A)
    Assert.Null(p.Plan.Steps[1].Kernels[classOf p "norm.w"])

[<Fact>]
let ``a selection's density may be a schedule`` () =
    let w = writer ()
    let p = planOf w 2 [ w.Trim(w.Sub(w.Src 1, w.Src 0), w.Ramp [ w.Num 0.1; w.Num 0.9 ], Extent.Tensor) ] []
    let r = Assert.Single(p.Plan.Steps[0].Reductions)
    match p.Plan.Scalars[r.Argument] with
    | :? StaticScalar as s -> Assert.Equal<float>([ 0.1; 0.1; 0.1; 0.5; 0.5; 0.9; 0.9; 0.9 ], s.Values)
    | s -> Assert.Fail $"{s}"
    let k = kernelOf p 1 "embed.w"
    Assert.IsType<KeepParameter>(Assert.Single k.Parameters) |> ignore

[<Fact>]
let ``a reduction of a reduction is a pass more`` () =
    let w = writer ()
    let x = w.Src 0
    let mean = w.Div(w.Reduce(ReduceKind.Sum, Extent.All, [ x ]), w.Numel Extent.All)
    let centered = w.Sub(x, mean)
    let p = planOf w 1 [ w.Div(centered, w.Norm centered) ] []
    Assert.Equal(3, steps p)

[<Fact>]
let ``numbers along rows are streams`` () =
    let w = writer ()
    let x = w.Src 0
    let n = w.Op("sqrt", w.Reduce(ReduceKind.Dot, Extent.Row, [ x; x ]))
    let p = planOf w 1 [ w.Div(x, n) ] []
    Assert.Contains((kernelOf p 1 "embed.w").Inputs, fun i -> i :? RowInput)

[<Fact>]
let ``sums are guarded where they are stored, other kernels also where they read, in the first pass only`` () =
    let w = writer ()
    let x, y = w.Src 0, w.Src 1
    let guards (p: Planned) step = [ for i in (kernelOf p step "embed.w").Program.Instructions do if i.Code = Code.Guard then (kernelOf p step "embed.w").Program.Instructions[i.A].Code ]
    Assert.Equal<Code list>([ Code.Apply ], guards (planOf w 2 [ w.Add(x, y) ] []) 0)
    Assert.Equal<Code list>([ Code.Load; Code.Load; Code.Apply ], guards (planOf w 2 [ w.Add(x, w.Op("sign", y)) ] []) 0)
    let p = planOf w 2 [ w.Mul(w.Norm x, w.Op("abs", w.Add(x, y))) ] []
    Assert.Equal<Code list>([ Code.Load ], guards p 0)
    Assert.Equal<Code list>([ Code.Load; Code.Apply ], guards p 1)
    Assert.Equal<Code list>([], guards (planOf w 2 [ w.Mul(w.Norm x, x) ] []) 1)

[<Fact>]
let ``types tell classes apart and what is not floating is copied from the reference`` () =
    let w = writer ()
    let make i types = new FakeCheckpoint($"m{i}", [ for n, t in types -> n, t, [ 10L ] ]) :> Checkpoint
    let sources =
        [| make 0 [ "a", DType.F32; "ids", DType.I64; "b", DType.F32 ]
           make 1 [ "a", DType.F32; "ids", DType.I64; "b", DType.F32 ]
           make 2 [ "a", DType.F16; "ids", DType.I64; "b", DType.BF16 ] |]
    let r = { request w sources [ w.Add(w.Src 0, w.Src 2) ] [] with Reference = 2 }
    let r = { r with Outputs = [ { r.Outputs.Head with DTypes = [| DType.F16; DType.I64; DType.BF16 |] } ] }
    let p = Plan.make r
    Assert.Equal<string>([ "m2"; "m0" ], [ for s in p.Plan.Sources -> s.Path ])
    Assert.Equal<int>([ 0; -1; 1 ], [ for t in p.Plan.Tensors -> t.Class ])
    Assert.All(p.Plan.Tensors, fun t -> Assert.Equal(2, t.Sources.Count))
    let k = kernelOf p 0 "b"
    Assert.Equal<DType>([ DType.F32; DType.BF16 ], Seq.sort k.Program.Inputs |> Seq.sortBy int)
    Assert.Equal<DType>([ DType.BF16 ], k.Program.Outputs)
    let s = Explain.summary p
    Assert.Equal(2L * (40L + 20L) + 2L * 80L, s.Read)
    Assert.Equal(20L + 20L + 80L, s.Written)
    // Numbers alone copy nothing.
    let p = Plan.make { r with Outputs = []; Scalars = [ w.Norm(w.Src 0) ] }
    Assert.Equal<string>([ "a"; "b" ], [ for t in p.Plan.Tensors -> t.Name ])

[<Fact>]
let ``numbers known beforehand need no pass`` () =
    let w = writer ()
    let p = planOf w 1 [] [ w.Add(w.Num 1.0, w.Num 2.0); w.Numel Extent.All; w.Numel Extent.Layer; w.Ramp [ w.Num 0.0; w.Num 4.0 ] ]
    Assert.Equal<ScalarResult list>([ ScalarResult.Known 3.0; ScalarResult.Known 48.0; ScalarResult.Result 0; ScalarResult.Result 1 ], p.Scalars)
    Assert.Equal(0, steps p)
    let values i = match p.Plan.Scalars[p.Plan.Results[i]] with :? StaticScalar as s -> List.ofArray s.Values | _ -> []
    // By layer, in the order of the layers' first tensors: those without one come first here.
    Assert.Equal<float list>([ 15.0; 11.0; 11.0; 11.0 ], values 0)
    Assert.Equal<float list>([ 0.0; 0.0; 0.0; 2.0; 2.0; 4.0; 4.0; 4.0 ], values 1)

[<Fact>]
let ``three of ten is 0.3`` () =
    let w = writer ()
    let share = w.Div(w.Reduce(ReduceKind.CountNonzero, Extent.All, [ w.Src 0 ]), w.Num 10.0)
    let p = planOf w 1 [] [ share ]
    let r = simulate p.Plan (fun _ name -> Array.init (shapes |> List.find (fun (n, _) -> n = name) |> snd |> List.reduce (*) |> int) (fun i -> if name = "norm.w" then 1.0 else 0.0))
    Assert.Equal(0.3, r.Results[0][0])

[<Fact>]
let ``a text of the plan tells passes, kernels, bytes and time, and JSON the same`` () =
    let w = writer ()
    let b = w.Src 0
    let p = planOf w 2 [ w.Add(b, w.Mul(w.Norm b, w.Trim(w.Sub(w.Src 1, b), w.Num 0.2, Extent.Tensor))) ] [ w.Norm b ]
    let text = Explain.planAt 4.0 2 p
    for part in [ "collect linear terms"; "step 1 of 2"; "r0.0 = dot by all"; "keep_largest at 0.2 by tensor"; "keep(m1 - m0, r0.1)"; "8 tensors such as embed.w"
                  "reads 768 bytes, writes 192 bytes in all"; "4 GiB/s per thread and 2 threads"; "number: sqrt(r0.0)" ] do
        Assert.Contains(part, text)
    use json = JsonDocument.Parse(Explain.jsonAt 4.0 2 [] p)
    let root = json.RootElement
    Assert.Equal(768L, root.GetProperty("read").GetInt64())
    Assert.Equal(192L, root.GetProperty("written").GetInt64())
    Assert.Equal(2, root.GetProperty("steps").GetArrayLength())
    Assert.Equal(960.0 / (2.0 * 4.0 * 1073741824.0), root.GetProperty("expectedSeconds").GetDouble())

/// Random expressions of everything the language has, numbers where `numeric`.
let rec private grow (w: Writer) (r: Random) depth numeric : Node =
    let num () = grow w r (depth - 1) true
    let ten () = grow w r (depth - 1) false
    let scope () = match r.Next 3 with 0 -> attn | 1 -> Layers(1, 2) | _ -> Except attn
    let extent () = match r.Next 3 with 0 -> Extent.All | 1 -> Extent.Layer | _ -> Extent.Tensor
    if depth <= 0 then
        if numeric then w.Num(float (r.Next(-2, 3)) / 2.0) else w.Src(r.Next 4)
    elif numeric then
        match r.Next 9 with
        | 0 -> w.Add(num (), num ())
        | 1 -> w.Mul(num (), num ())
        | 2 -> w.Div(num (), w.Add(w.Num 1.5, w.Op("abs", num ())))
        | 3 -> w.Ramp [ num (); num () ]
        | 4 -> w.Choose [ scope (), num (); Everything, num () ]
        | 5
        | 6 ->
            let kind = match r.Next 5 with 0 -> ReduceKind.Sum | 1 -> ReduceKind.MaxAbs | 2 -> ReduceKind.Min | 3 -> ReduceKind.Max | _ -> ReduceKind.SumAbs
            w.Op("tanh", w.Reduce(kind, extent (), [ ten () ]))
        | 7 -> (let a, b = ten (), ten () in w.Op("tanh", w.Reduce(ReduceKind.Dot, extent (), [ a; b ])))
        | _ -> w.Only(scope (), num ())
    else
        match r.Next 14 with
        | 0
        | 1 -> w.Add(ten (), ten ())
        | 2
        | 3 -> w.Sub(ten (), ten ())
        | 4
        | 5 -> w.Mul(num (), ten ())
        | 6 -> w.Only(scope (), ten ())
        | 7 -> w.Op("tanh", ten ())
        | 8 -> w.Trim(w.Op("tanh", ten ()), w.Num 0.4, (if r.Next 2 = 0 then Extent.All else Extent.Tensor))
        | 9 -> w.Drop(ten (), 0.5, float (r.Next 3))
        | 12 -> w.Rank(w.Op("tanh", ten ()))
        | 13 -> w.Drop(ten (), w.Op("abs", w.Op("tanh", ten ())), float (r.Next 3))
        | 10 -> w.Choose [ scope (), ten (); Everything, ten () ]
        | _ -> w.Add(ten (), num ())

[<Fact>]
let ``plans compute what the graph means`` () =
    let sources = [| for i in 0..3 -> checkpoint DType.F32 i |]
    let infos = sources[0].Tensors |> Array.ofSeq
    let random = Random 11
    let world =
        { Names = [ for t in infos -> t.Name ]
          Layers = [ for t in infos -> t.Layer ]
          Values = [| for _ in 0..3 -> [| for t in infos -> [| for _ in 1L .. t.Shape.Elements -> random.NextDouble() * 2.0 - 1.0 |] |] |] }
    let place = infos |> Array.mapi (fun i t -> t.Name, i) |> dict
    let mutable longest = 0
    for seed in 1..600 do
        let w = writer ()
        let r = Random seed
        let outputs = [ for _ in 0 .. seed % 2 -> grow w r (1 + seed % 6) false ]
        let scalars = [ for _ in 0 .. seed % 3 -> grow w r (1 + seed % 5) true ]
        let p = Plan.make (request w sources outputs scalars)
        longest <- max longest (steps p)
        let number = dict [ for i in 0..3 -> sources[i].Path, i ]
        let got = simulate p.Plan (fun s name -> world.Values[number[p.Plan.Sources[s].Path]][place[name]])
        let same what (expected: float[][]) (actual: int -> float[]) =
            for t in 0 .. infos.Length - 1 do
                let e, a = expected[t], actual t
                for i in 0 .. a.Length - 1 do
                    let e = if e.Length = 1 then e[0] else e[i]
                    if not (abs (e - a[i]) <= 1e-6 * (1.0 + abs e)) then
                        Assert.Fail $"seed {seed}, {what}, {infos[t].Name}[{i}]: {e} became {a[i]}"
        let expectedOutputs = outputs |> List.map (evaluate world)
        expectedOutputs |> List.iteri (fun o e -> same $"output {o}" e (fun t -> got.Outputs[o][t]))
        List.zip scalars p.Scalars |> List.iteri (fun i (node, result) ->
            same $"number {i}" (evaluate world node) (fun t ->
                match result with
                | ScalarResult.Known v -> [| v |]
                | ScalarResult.Result k -> [| got.Results[k][t] |]))
    Assert.True(longest >= 3)

[<Fact>]
let ``two thousand tensors plan at once`` () =
    let names = [ for l in 0..199 do for n in [ "attn.q"; "attn.k"; "attn.v"; "attn.o"; "mlp.up"; "mlp.down"; "mlp.gate"; "ln1"; "ln2"; "rot" ] -> $"model.layers.{l}.{n}.weight" ]
    let sources = [| for i in 0..9 -> new FakeCheckpoint($"m{i}", [ for n in names -> n, DType.BF16, [ 4096L; 4096L ] ]) :> Checkpoint |]
    let w = writer ()
    let b = w.Src 0
    let tasks = [ for i in 1..9 -> w.Only((if i % 2 = 0 then attn else Names(List.truncate 1500 names)), w.Sub(w.Src i, b)) ]
    let merged = tasks |> List.mapi (fun i t -> w.Mul(w.Ramp [ w.Num(0.1 * float i); w.Num 0.5; w.Num 1.0 ], w.Trim(t, w.Num 0.2, Extent.Tensor))) |> List.fold (fun a t -> w.Add(a, t)) b
    let p = onBigStack (fun () -> Plan.make (request w sources [ merged ] [ w.Norm merged ]))
    Assert.Equal(2, steps p)
