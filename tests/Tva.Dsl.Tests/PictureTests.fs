/// Pictures as files: parsed as XML and compared, mark by mark, with the numbers they are of; hostile names, paths and tables.
module Tva.Dsl.Tests.PictureTests

open System
open System.Globalization
open System.IO
open System.Xml.Linq
open Tva.Core
open Tva.Dsl
open Tva.Dsl.Tests.Scripts
open Xunit

let private number (text: string) = Double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture)
let private attr (name: string) (e: XElement) = match e.Attribute(XName.Get name) with null -> "" | a -> a.Value
let private value name e = number (attr name e)
let private named (tag: string) (root: XElement) = [ for e in root.Descendants() do if e.Name.LocalName = tag then e ]
let private title (e: XElement) = named "title" e |> List.map _.Value |> List.tryHead |> Option.defaultValue ""

/// Marks with what is told of them: `row, column: value`.
let private told (tag: string) (root: XElement) = named tag root |> List.filter (fun e -> (title e).Contains ": ") |> List.map (fun e -> title e, e)

let private draw (folder: TempFolder) (text: string) : XElement =
    let ran = run folder.Path text
    Assert.Empty ran.Diagnostics
    Assert.Equal(Some Outcome.Completed, ran.Outcome)
    let file = Assert.Single(Directory.GetFiles(folder.Path, "*.svg"))
    // Nothing unfinished stays.
    Assert.Empty(Directory.GetFiles(folder.Path, "*.partial"))
    XDocument.Load(file).Root |> Unchecked.nonNull

let private csv (folder: TempFolder) (name: string) (text: string) = File.WriteAllText(folder.File name, text)

let private zoo = $"base = model(\"{examples}/zoo/base.safetensors\")\ntasks = family(\"{examples}/zoo/tasks/*.safetensors\", base)\n"

[<Fact>]
let ``a heat map has a cell for each number, as strong as the number`` () =
    use temp = new TempFolder()
    let svg = draw temp (zoo + "plot(similarity(tasks), \"cosines.svg\")")
    // The cosines, in float64 from the files.
    let floats path = load path |> Map.map (fun _ (_, v: float[]) -> v)
    let origin = floats $"{examples}/zoo/base.safetensors"
    let names = Directory.GetFiles($"{examples}/zoo/tasks", "*.safetensors") |> Array.map (fun f -> string (Path.GetFileNameWithoutExtension f)) |> Array.sort
    let vectors =
        names |> Array.map (fun n ->
            floats $"{examples}/zoo/tasks/{n}.safetensors" |> Map.toArray |> Array.collect (fun (t, v) -> Array.map2 (-) v origin[t]))
    let dot x y = Array.fold2 (fun s a b -> s + a * b) 0.0 x y
    let cells = told "rect" svg
    Assert.Equal(names.Length * names.Length, cells.Length)
    let width = value "width" (snd cells.Head)
    let corner = snd cells.Head
    for i in 0 .. names.Length - 1 do
        for j in 0 .. names.Length - 1 do
            let cosine = dot vectors[i] vectors[j] / sqrt (dot vectors[i] vectors[i] * dot vectors[j] vectors[j])
            let words, cell = cells[i * names.Length + j]
            Assert.StartsWith($"{names[i]}, {names[j]}: ", words)
            Assert.Equal(cosine, number (words.Substring(words.LastIndexOf ' ')), 1e-5)
            // Full colour is 1; opacity has two digits.
            Assert.Equal(abs cosine, value "fill-opacity" cell, 0.0051)
            Assert.Equal((if cosine < 0.0 then "less" else "more"), attr "class" cell)
            Assert.Equal(value "x" corner + width * float j, value "x" cell, 0.02)
            Assert.Equal(value "y" corner + value "height" corner * float i, value "y" cell, 0.02)
    // Told without colour and without eyes: numbers in cells, a description.
    let texts = named "text" svg |> List.map _.Value
    Assert.Equal(names.Length, texts |> List.filter ((=) "1") |> List.length)
    Assert.Contains("Heat map of 8 rows by 8 columns", (named "desc" svg).Head.Value)
    Assert.Equal("img", attr "role" svg)

[<Fact>]
let ``cells that are marked are outlined, those below zero hatched, NaN is told`` () =
    use temp = new TempFolder()
    csv temp "t.csv" "a \\ b,1,2,3\nx,-2,0.5,\ny,4,inf,0\n"
    csv temp "m.csv" "m,1,2,3\nx,1,0,0\ny,0,1,1\n"
    let svg = draw temp "plot(table(\"t.csv\"), \"t.svg\", axes = \"a by b\", mark = table(\"m.csv\"), note = \"as foretold\")"
    let cells = told "rect" svg
    Assert.Equal<string list>(
        [ "x, 1: -2, outlined"; "x, 2: 0.5"; "x, 3: not a number"; "y, 1: 4"; "y, 2: infinite, outlined"; "y, 3: 0, outlined" ],
        cells |> List.map fst
    )
    for e, cell in List.zip [ 0.5; 0.125; 0.0; 1.0; 1.0; 0.0 ] cells do
        Assert.Equal(e, value "fill-opacity" (snd cell), 0.0051)
    let outlines = named "rect" svg |> List.filter (fun e -> attr "class" e = "mark")
    Assert.Equal(3, outlines.Length)
    let hatched = Assert.Single(named "path" svg |> List.filter (fun e -> attr "class" e = "hatch"))
    // Inside its cell.
    let cell = snd cells.Head
    for pair in (attr "d" hatched).Split([| 'M'; 'L' |], StringSplitOptions.RemoveEmptyEntries) do
        let at = pair.Split ' ' |> Array.map number
        Assert.InRange(at[0], value "x" cell - 0.01, value "x" cell + value "width" cell + 0.01)
        Assert.InRange(at[1], value "y" cell - 0.01, value "y" cell + value "height" cell + 0.01)
    let texts = named "text" svg |> List.map _.Value
    Assert.Contains("a by b", texts)
    Assert.Contains("full colour is 4; hatched is below zero; outlined: as foretold", texts)
    Assert.Contains("–", texts)

[<Fact>]
let ``bars are as long as their numbers`` () =
    use temp = new TempFolder()
    csv temp "t.csv" "m,loss,gain\nfirst,2,-1\nsecond,0.5,3\nthird,0,1\n"
    let svg = draw temp "plot(table(\"t.csv\"), \"t.svg\", title = \"Two panels\")"
    let bars = told "rect" svg
    Assert.Equal<string list>([ "first: 2"; "second: 0.5"; "third: 0"; "first: -1"; "second: 3"; "third: 1" ], bars |> List.map fst)
    let widths = bars |> List.map (snd >> value "width")
    Assert.Equal(4.0, widths[0] / widths[1], 1e-3)
    Assert.Equal(0.0, widths[2])
    Assert.Equal(3.0, widths[4] / widths[5], 1e-2)
    Assert.Equal(widths[3], widths[5], 0.02)
    // What is below zero ends where the others begin, and has another class.
    let x i = value "x" (snd bars[i])
    Assert.Equal(x 4, x 3 + widths[3], 0.02)
    Assert.Equal("less", attr "class" (snd bars[3]))

[<Fact>]
let ``curves go through their points`` () =
    use temp = new TempFolder()
    csv temp "t.csv" "lambda,kept,forgotten\n0,1,0.8\n0.5,0.9,0.4\n2,0.6,0\n"
    let svg = draw temp "plot(table(\"t.csv\"), \"t.svg\", kind = \"lines\")"
    let points (e: XElement) = [ for p in (attr "points" e).Split ' ' -> (let at = p.Split ',' in number at[0], number at[1]) ]
    let curves = named "polyline" svg |> List.map points |> List.filter (fun p -> p.Length = 3)
    Assert.Equal(2, curves.Length)
    for curve, ys in List.zip curves [ [ 1.0; 0.9; 0.6 ]; [ 0.8; 0.4; 0.0 ] ] do
        // x and y are affine in the numbers.
        let x, y = List.map fst curve, List.map snd curve
        Assert.Equal(0.25, (x[1] - x[0]) / (x[2] - x[0]), 1e-3)
        Assert.Equal((ys[1] - ys[0]) / (ys[2] - ys[0]), (y[1] - y[0]) / (y[2] - y[0]), 1e-3)
        Assert.True(y[0] < y[2], "up is more")
    // The same scale for both.
    let apart i = snd (curves[0][i]) - snd (curves[1][i])
    Assert.Equal(0.2 / 0.6, apart 0 / apart 2, 1e-3)
    Assert.Contains("forgotten at 0.5: 0.4", named "circle" svg @ named "rect" svg |> List.map title)
    // Told apart without colour.
    Assert.Equal(2, named "polyline" svg |> List.map (attr "stroke-dasharray") |> List.distinct |> List.length)

[<Fact>]
let ``a sweep's table is curves, a number by layer bars`` () =
    use temp = new TempFolder()
    let svg = draw temp (zoo + "def f(k: Scalar): Delta = k * tasks.digits\ndef s(x: Delta): Scalar = norm(x)\nplot(sweep(f, 0..1 by 0.25, s), \"s.svg\")")
    Assert.Contains(named "polyline" svg, fun e -> (attr "points" e).Split(' ').Length = 5)
    use other = new TempFolder()
    let bars = told "rect" (draw other (zoo + "plot(norm(tasks.digits, by = \"layer\"), \"n.svg\")"))
    Assert.Equal(5, bars.Length)

[<Fact>]
let ``what stands in the way is drawn with all its numbers`` () =
    use temp = new TempFolder()
    let ran = run temp.Path (zoo + "conflicts([tasks.digits, tasks.letters], rank = 0)")
    let f = ran.Events |> List.pick (function Event.Shown(_, [ Shown.Findings f ]) -> Some f | _ -> None)
    let svg = draw temp (zoo + "plot(conflicts([tasks.digits, tasks.letters], rank = 0), \"c.svg\")")
    let bars = told "rect" svg |> List.map fst
    let figures name = f.Rows |> List.map (List.item (List.findIndex ((=) name) f.Columns))
    let columns = f.Columns |> List.filter (fun c -> figures c |> List.exists _.IsFigure)
    Assert.Equal(columns.Length * f.Rows.Length, bars.Length)
    match (figures "share")[1] with
    | Cell.Figure v -> Assert.Contains(bars, fun b -> b.StartsWith "fix first: " && b.EndsWith(": " + v.ToString("G6", Globalization.CultureInfo.InvariantCulture)))
    | other -> Assert.Fail $"{other}"

[<Fact>]
let ``names from files can't become markup`` () =
    use temp = new TempFolder()
    // As a header's JSON has them: markup, quotes, an escape character, a direction override, half a surrogate pair would be no JSON.
    let evil = "</title><script>alert(1)</script>&amp;'\\\"><img src=x onerror=alert(2)>\\u001b[31m\\u202e"
    for file, v in [ "base", 1.0; "a", 2.0 ] do
        Written.save (temp.File $"{file}.safetensors") [ Written.f32 evil [ 2 ] [ v; 3.0 ]; Written.f32 "plain" [ 1 ] [ v ] ]
    let svg = draw temp "base = model(\"base.safetensors\")\nplot(stats(model(\"a.safetensors\") - base), \"p.svg\")"
    Assert.Empty(named "script" svg @ named "img" svg)
    let whole = "</title><script>alert(1)</script>&amp;'\"><img src=x onerror=alert(2)>\uFFFD[31m\uFFFD"
    Assert.Contains(whole, named "title" svg |> List.map _.Value)
    use other = new TempFolder()
    csv other "t.csv" "x,\"<b>\"\"c\"\" & d</b>\",2\n]]>,1,2\n"
    let svg = draw other "plot(table(\"t.csv\"), \"t.svg\", title = \"<i>é \\u{1}</i>\")"
    Assert.Equal("<i>é \uFFFD</i>", title svg)
    Assert.Contains("<b>\"c\" & d</b>", named "text" svg |> List.map _.Value)

let private findings folder text = (run folder text).Diagnostics |> List.map (fun d -> d.Code)

[<Fact>]
let ``what can't be drawn is told before anything is written`` () =
    use temp = new TempFolder()
    csv temp "t.csv" "x,1,2\na,1,2\n"
    csv temp "other.csv" "x,1\na,1\n"
    csv temp "bad.csv" "x,1,2\na,1,two\n"
    csv temp "short.csv" "x,1,2\na,1\n"
    csv temp "empty.csv" "x,1\n"
    csv temp "input.svg" "x,1,2\na,1,2\n"
    csv temp "big.csv" (String.Join(",", "x" :: List.map string [ 1..200 ]) + "\n" + String.Join("\n", [ for i in 1..150 -> String.Join(",", List.replicate 201 (string i)) ]))
    let is code text = Assert.Equal<string list>([ code ], findings temp.Path text)
    is "TVA0570" "plot(table(\"t.csv\"), \"t.png\")"
    is "TVA0571" "plot(3, \"t.svg\")"
    is "TVA0571" (zoo + "plot(tasks, \"t.svg\")")
    is "TVA0571" (zoo + "plot(advise(add(tasks.digits, tasks.letters), alpha = 0), \"t.svg\")")
    is "TVA0572" "plot(table(\"big.csv\"), \"t.svg\")"
    is "TVA0573" "plot(table(\"t.csv\"), \"t.svg\", mark = table(\"other.csv\"))"
    is "TVA0574" "table(\"bad.csv\")"
    is "TVA0574" "table(\"short.csv\")"
    is "TVA0574" "table(\"empty.csv\")"
    is "TVA0510" "plot(table(\"input.svg\"), \"input.svg\")"
    is "TVA0511" "plot(table(\"t.csv\"), \"t.svg\")\nplot(table(\"t.csv\"), \"./t.svg\")"
    Assert.Empty(Directory.GetFiles(temp.Path, "t.*") |> Array.filter (fun f -> not (f.EndsWith "csv")))
    // An input under another name is one all the same.
    File.Copy($"{examples}/zoo/base.safetensors", temp.File "base.safetensors")
    File.CreateSymbolicLink(temp.File "link.svg", temp.File "base.safetensors") |> ignore
    is "TVA0510" "norm(raw(model(\"base.safetensors\")))\nplot(table(\"t.csv\"), \"link.svg\")"

[<Fact>]
let ``a picture is whole or not there`` () =
    use temp = new TempFolder()
    csv temp "t.csv" "x,1,2\na,1,2\n"
    // An assertion that fails later in the same text comes first.
    let ran = run temp.Path (zoo + "plot(table(\"t.csv\"), \"t.svg\")\nassert norm(tasks.digits) < 0, \"no\"")
    Assert.True(ran.Outcome.Value.IsAssertionFailed)
    Assert.False(File.Exists(temp.File "t.svg"))
    Directory.CreateDirectory(temp.File "folder.svg") |> ignore
    let fault = Assert.Throws<FaultException>(fun () -> run temp.Path "plot(table(\"t.csv\"), \"folder.svg\")" |> ignore)
    Assert.Contains("is a folder", fault.Message)
    Assert.Empty(Directory.GetFiles(temp.Path, "*.partial"))
    // What was there is written over, folders are made.
    for _ in 1..2 do
        Assert.Equal(Some Outcome.Completed, (run temp.Path "plot(table(\"t.csv\"), \"new/t.svg\")").Outcome)
    Assert.StartsWith("<svg ", File.ReadAllText(temp.File "new/t.svg"))

[<Fact>]
let ``a host confines pictures and tables to folders`` () =
    use read = new TempFolder()
    use write = new TempFolder()
    csv read "t.csv" "x,1,2\na,1,2\n"
    let options = EvaluatorOptions.Default.WithFolder(read.Path).WithFolders([ read.Path ], [ write.Path ])
    let codes text = (runWith options read.Path text).Diagnostics |> List.map _.Code
    Assert.Equal<string list>([ "TVA0602" ], codes "plot(table(\"t.csv\"), \"t.svg\")")
    Assert.Equal<string list>([ "TVA0602" ], codes "table(\"/etc/passwd\")")
    Assert.Empty(codes $"plot(table(\"t.csv\"), \"{write.Path}/t.svg\")")
    Assert.True(File.Exists(write.File "t.svg"))
