/// What the tests of bases share: the zoo's tasks as plain float64 numbers, runs that say what they read, eigenvalues by another way.
module Tva.Dsl.Tests.BasisSupport

open System
open System.IO
open Tva.Dsl
open Tva.Dsl.Typing
open Xunit
open Tva.Dsl.Tests.Scripts

/// The option that cuts a training short, for methods that have one.
let trainedFor (steps: int) (method: string) = if method.StartsWith "ae" then $", steps = {steps}" else ""

let zoo = Path.Combine(examples, "zoo")
let baseFile = Path.Combine(zoo, "base.safetensors")
let names = [ "arrows"; "count"; "digits"; "frequency"; "letters"; "position"; "shapes"; "stripes" ]
let taskFile name = Path.Combine(zoo, "tasks", name + ".safetensors")

/// Bytes of a zoo checkpoint's tensors, all float32.
let size = 545024L

/// Elements in all of them.
let elements = 136256L

let heading = $"base = model(\"{baseFile}\")\ntasks = family(\"{zoo}/tasks/*.safetensors\", base)\n"

/// A task vector or an atom: by tensor its elements.
type Vector = Map<string, float[]>

let read path : Vector = load path |> Map.map (fun _ (_, values) -> values)

/// τ as float32 has it.
let difference (a: Vector) (b: Vector) : Vector = a |> Map.map (fun name x -> Array.map2 (fun x y -> float (float32 x - float32 y)) x b[name])

let origin = lazy read baseFile

let taskVectors = lazy [ for name in names -> name, difference (read (taskFile name)) origin.Value ]

let private layerOf (tensor: string) =
    match tensor.Split '.' |> Array.tryFind (Seq.forall Char.IsDigit) with
    | Some n -> "layer " + n
    | None -> "no layer"

/// The group a tensor belongs to.
let groupOf by (tensor: string) =
    match by with
    | "layer" -> layerOf tensor
    | "tensor" -> tensor
    | _ -> ""

let dot (a: Vector) (b: Vector) =
    let mutable sum = 0.0
    for KeyValue(name, x) in a do
        let y = b[name]
        for i in 0 .. x.Length - 1 do
            sum <- sum + x[i] * y[i]
    sum

let norm a = sqrt (dot a a)

let zip f (a: Vector) (b: Vector) : Vector = a |> Map.map (fun name x -> Array.map2 f x b[name])

let scale (k: float) (a: Vector) : Vector = a |> Map.map (fun _ x -> Array.map ((*) k) x)

let minus a b = zip (-) a b

let sum (vectors: Vector list) = List.reduce (zip (+)) vectors

let largest (a: Vector) = a |> Map.fold (fun m _ x -> max m (x |> Array.map abs |> Array.max)) 0.0

/// The share of one group, as a vector of its own.
let part by group (a: Vector) : Vector = a |> Map.filter (fun name _ -> groupOf by name = group)

let groups by (a: Vector) = a |> Map.toList |> List.map (fst >> groupOf by) |> List.distinct

let gram (vectors: Vector list) = [| for a in vectors -> [| for b in vectors -> dot a b |] |]

/// The eigenvalues of a symmetric matrix by Jacobi's rotations, the largest first.
let eigenvalues (matrix: float[][]) =
    let a = matrix |> Array.map Array.copy
    let n = a.Length
    for _ in 1..60 do
        for p in 0 .. n - 2 do
            for q in p + 1 .. n - 1 do
                if abs (a[p][q]) > 1e-300 then
                    let theta = 0.5 * atan2 (2.0 * a[p][q]) (a[q][q] - a[p][p])
                    let c, s = cos theta, sin theta
                    for k in 0 .. n - 1 do
                        let x, y = a[k][p], a[k][q]
                        a[k][p] <- c * x - s * y
                        a[k][q] <- s * x + c * y
                    for k in 0 .. n - 1 do
                        let x, y = a[p][k], a[q][k]
                        a[p][k] <- c * x - s * y
                        a[q][k] <- s * x + c * y
    Array.init n (fun i -> a[i][i]) |> Array.sortDescending

/// Σ λ beyond the first `kept` over all Σ λ, group by group.
let bound by kept (vectors: Vector list) =
    let spectra = [ for g in groups by vectors.Head -> eigenvalues (gram (vectors |> List.map (part by g))) ]
    (spectra |> List.sumBy (fun s -> s |> Array.skip (min kept s.Length) |> Array.sumBy (max 0.0))) / (spectra |> List.sumBy Array.sum)

/// Neither uses Gram matrices of earlier runs nor leaves any.
let uncached = { RunSettings.Default with Cache = false }

let private ended (ran: Ran) =
    Assert.Empty(ran.Diagnostics |> List.map _.Message)
    Assert.Equal(Some Outcome.Completed, ran.Outcome)
    ran

/// Runs a text that must succeed.
let runAs settings folder text = runWith (optionsOf settings) folder text |> ended

let runOk folder text = runAs uncached folder text

/// What each of its statements has shown.
let shownBy (ran: Ran) = ran.Events |> List.choose (function Event.Shown(_, items) -> Some items | _ -> None)

let tables ran = shownBy ran |> List.choose (function [ Shown.Table t ] -> Some t | _ -> None)

let numbers ran = shownBy ran |> List.choose (function [ Shown.Number v ] -> Some v | _ -> None)

/// What the text's last expression shows, leaving no Gram matrix behind.
let number folder text = runOk folder text |> numbers |> List.last

let cell (t: ResultTable) row column = (t.Rows |> List.find (fun (r, _) -> r = row) |> snd)[List.findIndex ((=) column) t.Columns]

let summary (t: ResultTable) name = t.Summary |> List.find (fun (n, _) -> n = name) |> snd

/// By pass: what it was for, bytes read and written.
let passes (ran: Ran) =
    let purposes = ran.Events |> List.choose (function Event.Started what -> Some what | _ -> None)
    let bytes = ran.Events |> List.choose (function Event.Finished(read, written, _) -> Some(read, written) | _ -> None)
    List.zip purposes bytes |> List.map (fun (what, (read, written)) -> what, read, written)

/// Statements that save every member of `b` as `prefix`name.safetensors.
let saveMembers b (members: string list) (prefix: string) =
    String.Join("\n", [ for name in members -> $"{b}.{name} |> save(\"{prefix}{name}.safetensors\")" ])

/// Statements that save the atoms.
let saveAtoms b count (prefix: string) =
    String.Join("\n", [ for m in 1..count -> $"atoms({b}).atom{m} |> save(\"{prefix}atom{m}.safetensors\")" ])

/// Every element within `tolerance`, an absolute one.
let near (expected: Vector) (actual: Vector) (tolerance: float) =
    Assert.Equal<string list>(expected.Keys |> List.ofSeq, actual.Keys |> List.ofSeq)
    for KeyValue(name, want) in expected do
        let got = actual[name]
        Assert.Equal(want.Length, got.Length)
        for i in 0 .. want.Length - 1 do
            if not (abs (got[i] - want[i]) <= tolerance) then
                Assert.Fail $"{name}[{i}] is {got[i]}, and should be {want[i]} within {tolerance}"

/// The files of a folder as bytes, by name.
let contents (folder: string) = Map [ for f in Directory.GetFiles folder -> string (Path.GetFileName f), File.ReadAllBytes f ]

let sameBytes (a: string) (b: string) = Assert.True((File.ReadAllBytes a).AsSpan().SequenceEqual(ReadOnlySpan(File.ReadAllBytes b)), $"{a} and {b} differ")

/// The findings' codes and messages.
let findings folder text =
    let ran = runWith (optionsOf uncached) folder text
    ran.Diagnostics |> List.map (fun d -> d.Code, d.Message)

/// The same tensors, whatever the headers say besides.
let sameTensors a b = Assert.Equal<Vector>(read a, read b)

/// The w with the least ‖target − Σ w·vectors‖, by elimination on the normal equations.
let leastSquares (vectors: Vector list) (target: Vector) : float[] =
    let n = vectors.Length
    let a = [| for v in vectors -> [| yield! [ for u in vectors -> dot v u ]; dot v target |] |]
    for p in 0 .. n - 1 do
        let best = Seq.maxBy (fun r -> abs (a[r][p])) (seq { p .. n - 1 })
        let row = a[best]
        a[best] <- a[p]
        a[p] <- row
        for r in 0 .. n - 1 do
            if r <> p then
                let k = a[r][p] / a[p][p]
                a[r] <- Array.map2 (fun x y -> x - k * y) a[r] a[p]
    Array.init n (fun i -> a[i][n] / a[i][i])

/// Σ w·v, group by group with the w that fits there best.
let fitted by (vectors: Vector list) (target: Vector) : Vector =
    [ for g in groups by target do
          let parts = vectors |> List.map (part by g)
          let w = leastSquares parts (part by g target)
          yield! List.mapi (fun i v -> scale w[i] v) parts |> sum |> Map.toList ]
    |> Map.ofList
