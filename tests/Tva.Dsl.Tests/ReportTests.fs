/// Reports as pages: parsed, and their numbers compared with scalar float64 code over the files.
module Tva.Dsl.Tests.ReportTests

open System
open System.Globalization
open System.IO
open System.Text.RegularExpressions
open System.Xml.Linq
open Tva.Dsl
open Tva.Dsl.Tests.Scripts
open Xunit

/// The page as a tree: our pages are well-formed XML but for the line in front.
let private parse (path: string) =
    let text = File.ReadAllText path
    Assert.StartsWith("<!DOCTYPE html>\n", text)
    XDocument.Parse(text.Substring(text.IndexOf '\n')).Root |> Unchecked.nonNull

let private named (tag: string) (root: XElement) = [ for e in root.Descendants() do if e.Name.LocalName = tag then e ]

let private section (page: XElement) (heading: string) =
    named "section" page |> List.find (fun s -> (named "h2" s).Head.Value = heading)

/// The numbers of a section, by row and column.
let private numbers (section: XElement) =
    let rows = named "table" section |> List.head |> named "tr"
    let columns = named "th" rows.Head |> List.map _.Value |> List.tail
    [ for row in rows.Tail do
          for column, cell in List.zip columns (named "td" row) do
              ((named "th" row).Head.Value, column), Double.Parse(cell.Value, NumberStyles.Float, CultureInfo.InvariantCulture) ]
    |> Map.ofList

let private write (temp: TempFolder) (text: string) =
    let zoo = $"base = model(\"{examples}/zoo/base.safetensors\")\ntasks = family(\"{examples}/zoo/tasks/*.safetensors\", base)\n"
    let ran = run temp.Path (zoo + text)
    Assert.Empty ran.Diagnostics
    Assert.Equal(Some Outcome.Completed, ran.Outcome)
    Assert.Empty(Directory.GetFiles(temp.Path, "*.partial"))
    ran, parse (temp.File "r.html")

let private names, vectors =
    let floats path = Scripts.load path |> Map.map (fun _ (_, v: float[]) -> v)
    let origin = lazy floats $"{examples}/zoo/base.safetensors"
    let names = Directory.GetFiles($"{examples}/zoo/tasks", "*.safetensors") |> Array.map (fun f -> string (Path.GetFileNameWithoutExtension f)) |> Array.sort
    names,
    lazy (names |> Array.map (fun n ->
              floats $"{examples}/zoo/tasks/{n}.safetensors" |> Map.toArray |> Array.collect (fun (t, v) -> Array.map2 (-) v origin.Value[t])))

let private dot (x: float[]) y = Array.fold2 (fun s a b -> s + a * b) 0.0 x y

[<Fact>]
let ``a family's report tells norms, cosines, opposite signs and the spectrum`` () =
    use temp = new TempFolder()
    let _, page = write temp "report(tasks, \"r.html\", title = \"Eight <tasks>\")"
    Assert.Equal("Eight <tasks>", (named "h1" page).Head.Value)
    let norms, cosines, signs, spectrum =
        numbers (section page "Norms"), numbers (section page "Similarity"), numbers (section page "Conflicts"), numbers (section page "Spectrum")
    let v = vectors.Value
    for i in 0 .. names.Length - 1 do
        Assert.Equal(sqrt (dot v[i] v[i]), norms[names[i], "norm"], 1e-5)
        for j in 0 .. names.Length - 1 do
            if i <> j then
                Assert.Equal(dot v[i] v[j] / sqrt (dot v[i] v[i] * dot v[j] v[j]), cosines[names[i], names[j]], 1e-5)
                let both = Array.map2 (fun a b -> sign a * sign b) v[i] v[j]
                let against = both |> Array.filter ((=) -1) |> Array.length
                let shared = both |> Array.filter ((<>) 0) |> Array.length
                Assert.Equal(float against / float shared, signs[names[i], names[j]], 1e-5)
    // Eigenvalues by what they must satisfy: their sum is the trace, the sum of their squares the squared Frobenius norm, the first is ‖G u‖ for its u.
    let shares = [ for i in 1 .. names.Length -> spectrum[string i, "share of the energy"] ]
    let gram = v |> Array.map (fun x -> v |> Array.map (dot x))
    let trace = Seq.sum (seq { for i in 0 .. names.Length - 1 -> gram[i][i] })
    Assert.Equal(1.0, List.sum shares, 1e-4)
    Assert.Equal(gram |> Array.sumBy (fun row -> dot row row), List.sumBy (fun s -> (s * trace) ** 2.0) shares, 1e-4 * trace * trace)
    let step u = (let w = gram |> Array.map (dot u) in w |> Array.map (fun x -> x / sqrt (dot w w)))
    let mutable u = Array.create names.Length 1.0
    for _ in 1..5000 do
        u <- step u
    Assert.Equal(dot u (gram |> Array.map (dot u)) / trace, shares.Head, 1e-4)
    Assert.Equal<float list>(List.sortDescending shares, shares)

[<Theory>]
[<InlineData("ae", 4, 4)>]
[<InlineData("pca", 3, 4)>]
let ``a basis's report tells what errors tells, and the chosen M`` (method: string, atoms: int, vectors: int) =
    use temp = new TempFolder()
    let ran, page = write temp $"b = tasks @basis({atoms}, \"{method}\")\nerrors(b)\nreport(b, \"r.html\")"
    let errors = ran.Events |> List.pick (function Event.Shown(_, [ Shown.Table t ]) -> Some t | _ -> None)
    let told = numbers (section page "Error per task")
    let at = errors.Columns |> List.findIndex (fun c -> c = "relative_error" || c = "relative")
    for name, values in errors.Rows do
        Assert.Equal(values[at], told[name, "relative error"], 1e-4)
    Assert.Equal(names.Length * (vectors), (numbers (section page "Coefficients")).Count)
    let spectrum = section page "Spectrum"
    Assert.Contains($"Chosen: M = {atoms} atoms", spectrum.Value)
    let beyond = named "rect" spectrum |> List.filter (fun r -> (named "title" r) |> List.exists (fun t -> t.Value.EndsWith ", left out"))
    Assert.Equal(2 * (names.Length - vectors), beyond.Length)
    Assert.Equal("b", (named "h1" page).Head.Value)

[<Fact>]
let ``of a basis by layer the spectrum is told by layer, the chosen M outlined`` () =
    use temp = new TempFolder()
    let _, page = write temp "report(basis(tasks, 3, \"svd\", by = \"layer\"), \"r.html\")"
    let spectrum = section page "Spectrum"
    Assert.Contains("M = 3 atoms for each of 5 parts", spectrum.Value)
    let outlined = named "rect" spectrum |> List.filter (fun r -> (named "title" r) |> List.exists (fun t -> t.Value.EndsWith ", outlined"))
    Assert.Equal(5, outlined.Length)
    // What M atoms hold of a layer is what they don't lose at best: the energies weigh to one minus the bound.
    let ran, _ = write temp "b = basis(tasks, 3, \"svd\", by = \"layer\")\nerrors(b)\nreport(b, \"r.html\")"
    let bound = ran.Events |> List.pick (function Event.Shown(_, [ Shown.Table t ]) -> Some(t.Summary |> List.find (fst >> (=) "bound") |> snd) | _ -> None)
    let held = numbers spectrum
    let origin = Scripts.load $"{examples}/zoo/base.safetensors"
    let energy layer =
        names |> Array.sumBy (fun n ->
            Scripts.load $"{examples}/zoo/tasks/{n}.safetensors"
            |> Map.toSeq
            |> Seq.sumBy (fun (t, (_, v: float[])) ->
                let mine = match t.Split '.' |> Array.tryFind (Seq.forall Char.IsDigit) with Some k -> "layer " + k | None -> "no layer"
                if mine = layer then Array.fold2 (fun s a b -> s + (a - b) * (a - b)) 0.0 v (snd origin[t]) else 0.0))
    let layers = [ "layer 0"; "layer 1"; "layer 2"; "layer 3"; "no layer" ] |> List.map (fun l -> energy l, held[l, "3"])
    Assert.Equal(1.0 - bound, (layers |> List.sumBy (fun (e, h) -> e * h)) / (layers |> List.sumBy fst), 1e-4)

[<Fact>]
let ``a page asks for nothing from outside and runs nothing`` () =
    use temp = new TempFolder()
    write temp "report(tasks @basis(2), \"r.html\")" |> ignore
    let text = File.ReadAllText(temp.File "r.html")
    Assert.Contains("default-src &#39;none&#39;", text)
    Assert.DoesNotContain("<script", text)
    Assert.DoesNotMatch(Regex @"(src|href)\s*=|url\(|@import", text)
    Assert.Contains("prefers-color-scheme:dark", text)
    // Every picture has a name and a description of its own.
    let page = parse (temp.File "r.html")
    let ids = named "title" page @ named "desc" page |> List.choose (fun e -> Option.ofObj (e.Attribute(XName.Get "id"))) |> List.map _.Value
    Assert.Equal(ids.Length, (List.distinct ids).Length)
    for svg in named "svg" page do
        let wanted = (svg.Attribute(XName.Get "aria-labelledby") |> Unchecked.nonNull).Value.Split ' '
        Assert.All(wanted, fun id -> Assert.Contains(id, ids))

[<Fact>]
let ``what no report can be made of is told`` () =
    use temp = new TempFolder()
    let codes text = (run temp.Path ($"base = model(\"{examples}/zoo/base.safetensors\")\n" + text)).Diagnostics |> List.map _.Code
    Assert.Equal<string list>([ "TVA0570" ], codes $"report(family(\"{examples}/zoo/tasks/*.safetensors\", base), \"r.svg\")")
    Assert.Single(codes "report(base, \"r.html\")") |> ignore

[<Fact>]
let ``members of zeros and with NaN are reported, not failed at`` () =
    use temp = new TempFolder()
    let save name values = Written.save (temp.File $"{name}.safetensors") [ Written.f32 "w" [ 3 ] values ]
    save "base" [ 1.0; 1.0; 1.0 ]
    save "same" [ 1.0; 1.0; 1.0 ]
    save "moved" [ 2.0; 0.0; 1.0 ]
    save "odd" [ nan; 0.0; 1.0 ]
    let page text =
        let ran = run temp.Path ("base = model(\"base.safetensors\")\n" + text)
        Assert.Equal(Some Outcome.Completed, ran.Outcome)
        parse (temp.File "r.html")
    let zero = page "report(family({ same: \"same.safetensors\", moved: \"moved.safetensors\" }, base), \"r.html\")"
    Assert.Equal(0.0, (numbers (section zero "Similarity"))["same", "moved"])
    let odd = page "report(family({ odd: \"odd.safetensors\", moved: \"moved.safetensors\" }, base), \"r.html\")"
    Assert.Contains("NaN or infinity", (section odd "Similarity").Value)
