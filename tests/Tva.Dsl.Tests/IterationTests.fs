/// The operators that iterate (karcher, geometric_median, awd) against float64 loops over explicit vectors, written here from their formulas.
module Tva.Dsl.Tests.IterationTests

open System
open System.IO
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport

/// Tensor names and sizes, in one order for all flat vectors.
let private layout = lazy (origin.Value |> Map.toList |> List.map (fun (name, v) -> name, v.Length))

let private flat (v: Vector) = layout.Value |> List.map (fun (name, _) -> v[name]) |> Array.concat

let private shaped (x: float[]) : Vector =
    let mutable at = 0
    Map.ofList
        [ for name, n in layout.Value do
              at <- at + n
              name, x[at - n .. at - 1] ]

let private dots (x: float[]) (y: float[]) =
    let mutable s = 0.0
    for i in 0 .. x.Length - 1 do
        s <- s + x[i] * y[i]
    s

let private len x = sqrt (dots x x)

let private combine (terms: (float * float[]) list) =
    let r = Array.zeroCreate<float> (snd terms.Head).Length
    for k, x in terms do
        for i in 0 .. r.Length - 1 do
            r[i] <- r[i] + k * x[i]
    r

/// An iteration group by group.
let private by (kind: string) (f: float[] list -> float[] list) (members: Vector list) : Vector list =
    match kind with
    | "all" -> members |> List.map flat |> f |> List.map shaped
    | _ ->
        let widths = load baseFile |> Map.map (fun _ (info, _) -> int info.Shape.RowLength)
        let parts =
            match kind with
            | "layer" -> groups "layer" members.Head |> List.map (fun g -> members.Head |> Map.toList |> List.map fst |> List.filter (fun n -> groupOf "layer" n = g) |> List.map (fun n -> n, 0, members.Head.[n].Length))
            | "row" -> [ for KeyValue(n, v) in members.Head do for i in 0 .. widths[n] .. v.Length - 1 -> [ n, i, widths[n] ] ]
            | _ -> [ for KeyValue(n, v) in members.Head -> [ n, 0, v.Length ] ]
        let results = parts |> List.map (fun places -> places, f (members |> List.map (fun m -> Array.concat [ for n, i, w in places -> m.[n].[i .. i + w - 1] ])))
        [ for k in 0 .. (snd results.Head).Length - 1 ->
              let out = members.Head |> Map.map (fun _ v -> Array.zeroCreate<float> v.Length)
              for places, xs in results do
                  let mutable at = 0
                  for n, i, w in places do
                      Array.blit xs[k] at out[n] i w
                      at <- at + w
              out ]

let private vectors = lazy (taskVectors.Value |> List.map snd)

let private family (members: string list) =
    let listed = String.Join(", ", [ for n in members -> $"{n}: \"{taskFile n}\"" ])
    $"F = family({{ {listed} }}, base)\n"

let private some members = taskVectors.Value |> List.filter (fun (n, _) -> List.contains n members) |> List.map snd

let private saved text (expressions: string list) : Vector list =
    use temp = new TempFolder()
    runOk temp.Path (heading + text + "\n" + String.Join("\n", expressions |> List.mapi (fun i e -> $"{e} |> save(\"o{i}.safetensors\")"))) |> ignore
    [ for i in 0 .. expressions.Length - 1 -> read (temp.File $"o{i}.safetensors") ]

let private close tolerance (expected: Vector) actual = near expected actual (tolerance * largest expected)

// Karcher means

/// mergekit's rounds, on explicit vectors.
let private karcher steps tol (xs: float[] list) =
    let n = xs |> List.map len
    let valid = List.zip xs n |> List.filter (fun (_, n) -> n > tol)
    if valid.IsEmpty then Array.zeroCreate<float> xs.Head.Length
    else
        let u = valid |> List.map (fun (x, n) -> combine [ 1.0 / n, x ])
        let a = 1.0 / float u.Length
        let s = combine [ for x in u -> a, x ]
        let mutable m = if len s < tol then u.Head else combine [ 1.0 / len s, s ]
        let mutable going = true
        for _ in 1..steps do
            if going then
                let pulls =
                    [ for x in u do
                          let c = max -1.0 (min 1.0 (dots m x))
                          let angle = acos c
                          // Opposite vectors have no tangent direction.
                          if angle >= tol && sin angle >= 1e-7 then
                              a * angle / sin angle, combine [ 1.0, x; -c, m ] ]
                let t = if pulls.IsEmpty then Array.zeroCreate<float> m.Length else combine pulls
                let l = len t
                if l < tol then going <- false
                else
                    let moved = combine [ cos l, m; sin l / l, t ]
                    m <- combine [ (if len moved > tol then 1.0 / len moved else 1.0), moved ]
        combine [ List.average n, m ]

[<Fact>]
let ``karcher of task vectors`` () =
    let expected = by "tensor" (fun xs -> [ karcher 10 1e-5 xs ]) vectors.Value
    close 2e-6 expected.Head (saved "" [ "karcher(tasks)" ]).Head
    let expected = by "tensor" (fun xs -> [ karcher 3 1e-5 xs ]) vectors.Value
    close 2e-6 expected.Head (saved "" [ "karcher(tasks, steps = 3)" ]).Head

[<Fact>]
let ``karcher of models`` () =
    let models = names |> List.map (taskFile >> read)
    let expected = by "tensor" (fun xs -> [ karcher 10 1e-5 xs ]) models
    let list = "[" + String.Join(", ", [ for n in names -> $"model(\"{taskFile n}\")" ]) + "]"
    close 2e-6 expected.Head (saved "" [ $"karcher({list})" ]).Head

[<Fact>]
let ``karcher leaves out what has no length, starts from the first where all cancel, and stops early`` () =
    let a, b = List.item 2 vectors.Value, List.item 4 vectors.Value
    let both = saved "A = tasks.digits\nB = tasks.letters\nZ = 0 * A" [ "karcher([A, B, Z, A])"; "karcher([A, -1 * A])"; "karcher([Z, Z])"; "karcher([A, B, A], tol = 0.3)"; "karcher([A])" ]
    let none = scale 0.0 a
    let expected =
        [ by "tensor" (fun xs -> [ karcher 10 1e-5 xs ]) [ a; b; none; a ]
          by "tensor" (fun xs -> [ karcher 10 1e-5 xs ]) [ a; scale -1.0 a ]
          [ none ]
          by "tensor" (fun xs -> [ karcher 10 0.3 xs ]) [ a; b; a ]
          [ a ] ]
    // Every factor of the mean norm counts members without length too.
    close 2e-6 expected[0].Head both[0]
    close 2e-6 expected[1].Head both[1]
    close 2e-6 a both[1]
    Assert.Equal(0.0, largest both[2])
    close 2e-6 expected[3].Head both[3]
    close 2e-6 a both[4]

// Geometric medians

let private median steps tol (xs: float[] list) =
    let mutable m = combine [ for x in xs -> 1.0 / float xs.Length, x ]
    let scale = xs |> List.averageBy len
    let floor = tol * (if scale = 0.0 then 1.0 else scale)
    let mutable going = true
    for _ in 1..steps do
        if going then
            let w = xs |> List.map (fun x -> 1.0 / max floor (len (combine [ 1.0, x; -1.0, m ])))
            let next = combine [ for w', x in List.zip w xs -> w' / List.sum w, x ]
            if len (combine [ 1.0, next; -1.0, m ]) < floor then going <- false else m <- next
    m

[<Theory>]
[<InlineData("all")>]
[<InlineData("layer")>]
[<InlineData("tensor")>]
[<InlineData("row")>]
let ``geometric medians`` (kind: string) =
    let expected = by kind (fun xs -> [ median 100 1e-6 xs ]) vectors.Value
    // A row's last step may be taken or not where it is just tol long.
    close 5e-6 expected.Head (saved "" [ $"geometric_median(tasks, by = \"{kind}\")" ]).Head

[<Fact>]
let ``no point near a geometric median is nearer to all`` () =
    let m = flat (saved "" [ "geometric_median(tasks, steps = 1000, tol = 1e-9)" ]).Head
    let xs = vectors.Value |> List.map flat
    let cost p = xs |> List.sumBy (fun x -> len (combine [ 1.0, x; -1.0, p ]))
    let best = cost m
    for x in xs do
        for step in [ 0.01; -0.01 ] do
            Assert.True(cost (combine [ 1.0 - step, m; step, x ]) >= best * (1.0 - 1e-9))
    Assert.True(best < cost (combine [ for x in xs -> 1.0 / 8.0, x ]))

[<Fact>]
let ``a geometric median that is a member is found, and one of equal members`` () =
    let a = List.item 2 vectors.Value
    // Three of five coincide, so the median is they; the mean of the start is elsewhere.
    let out = saved "A = tasks.digits\nB = tasks.letters\nC = tasks.shapes" [ "geometric_median(family(A, B, C, 1 * A, A + 0 * B))"; "geometric_median(family(A, A + 0 * B))"; "geometric_median(family(0 * A, 0 * B))" ]
    close 1e-4 a out[0]
    close 1e-6 a out[1]
    Assert.Equal(0.0, largest out[2])

// Adaptive weight disentanglement

let private loss alpha (d: float[]) (xs: float[] list) =
    let e = xs |> List.map (fun x -> combine [ 1.0, x; -1.0, d ]) |> Array.ofList
    let c = [ for i in 0 .. e.Length - 1 do for j in 0 .. e.Length - 1 do if i <> j then abs (dots e[i] e[j] / (len e[i] * len e[j])) ]
    List.average c + alpha * len d

/// Gradient descent on explicit vectors: ∂cos(u, v)/∂u = (v/‖v‖ − cos·u/‖u‖)/‖u‖, and u falls as δ grows.
let private awd steps lr alpha (xs: float[] list) =
    let mutable d = Array.zeroCreate<float> xs.Head.Length
    let count = xs.Length
    for _ in 1..steps do
        let e = xs |> List.map (fun x -> combine [ 1.0, x; -1.0, d ]) |> Array.ofList
        let n = e |> Array.map len
        let share = Array.zeroCreate<float> count
        for i in 0 .. count - 1 do
            for j in 0 .. count - 1 do
                if i <> j then
                    let c = dots e[i] e[j] / (n[i] * n[j])
                    let s = float (sign c) / float (count * (count - 1))
                    // Of the ordered pair, the slope in u = eᵢ and in v = eⱼ.
                    share[j] <- share[j] + s / (n[i] * n[j]) - s * c / (n[j] * n[j])
                    share[i] <- share[i] + s / (n[i] * n[j]) - s * c / (n[i] * n[i])
        let l = len d
        d <- combine ((1.0 - (if l = 0.0 then 0.0 else lr * alpha / l), d) :: [ for i in 0 .. count - 1 -> lr * share[i], e[i] ])
    xs |> List.map (fun x -> combine [ 1.0, x; -1.0, d ])

let private four = [ "arrows"; "digits"; "letters"; "shapes" ]

[<Theory>]
[<InlineData("all", 300)>]
[<InlineData("layer", 40)>]
[<InlineData("tensor", 40)>]
let ``members less what they share`` (kind: string) (steps: int) =
    let expected = by kind (awd steps 0.01 0.1) (some four)
    let out = saved (family four + $"E = awd(F, steps = {steps}, by = \"{kind}\")") [ for n in four -> "E." + n ]
    for want, got in List.zip expected out do
        close 5e-6 want got

[<Fact>]
let ``eight members less what they share, by default over the whole model in 300 rounds`` () =
    let out = saved "E = awd(tasks)" [ "E.arrows"; "E.stripes" ] |> List.map flat
    let xs = vectors.Value |> List.map flat
    let shared = combine [ 1.0, xs.Head; -1.0, out.Head ]
    // One δ for all, and the loss is lower than at its start.
    Assert.True(len (combine [ 1.0, List.last xs; -1.0, out[1]; -1.0, shared ]) < 1e-5 * len shared)
    Assert.True(loss 0.1 shared xs < loss 0.1 (combine [ 0.0, xs.Head ]) xs)

[<Fact>]
let ``a round goes down the slope of the loss`` () =
    // Against finite differences of the loss itself, in directions of the members.
    let d = combine [ 0.3, flat vectors.Value.Head; 0.1, flat vectors.Value[3] ]
    let after = flat (saved (family four) [ "_awd_step(0.3 * tasks.arrows + 0.1 * tasks.frequency, F, 0.01, 0.1)" ]).Head
    let slope = combine [ 100.0, d; -100.0, after ]
    let xs = some four |> List.map flat
    for direction in flat vectors.Value[5] :: xs do
        let h = 1e-4
        let at t = loss 0.1 (combine [ 1.0, d; t, direction ]) xs
        let expected = (at h - at -h) / (2.0 * h)
        Assert.Equal(expected, dots slope direction, 1e-4 * len slope * len direction)

[<Fact>]
let ``what is shared by all is taken away`` () =
    // Members nearly orthogonal but for a vector common to all: their cosines fall.
    let text = family four + "C = tasks.stripes\nG = F + C\nE = awd(G, lr = 0.3)"
    let average f = number examples (heading + text + $"\np = pairs({f})\nmean(abs(cosine(p.left, p.right)))")
    let before, after = average "G", average "E"
    Assert.True(after < 0.6 * before, $"{before} before, {after} after")
