/// Solves bases: from their sources' dot products, computed in as few passes as they depend on each other, to weights and coefficients.
namespace Tva.Dsl

open System
open System.Collections.Generic
open Tva.Core
open Tva.Core.Bases
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Typing

/// `table` resolves what commands have printed.
type BasisWork(program: Program, work: Work, table: int -> FromTable -> float option) =
    /// Dot products known so far, by node with late numbers bound; files are taken not to change while a program lives.
    let known = Dictionary<int, (string * float) list>()
    /// What rules have told so far.
    let ruled = Dictionary<int, float>()
    /// Numbers that rules rest on, by node with late numbers bound.
    let told = Dictionary<int, float>()

    let rec late i =
        match program.Late[i] with
        | OfTable(t, from) -> table t from |> Option.map Const
        | OfOutputs(t, name, other, otherName) ->
            match program.Printed.TryGetValue t, program.Printed.TryGetValue other with
            | (true, a), (true, b) -> Some(Const(Outputs.likeness name a otherName b))
            | _ -> None
        | OfAngles set -> if program.Angles.ContainsKey set then Some(Const 1.0) else None
        | OfRule r ->
            match ruled.TryGetValue r with
            | true, v -> Some(Const v)
            | _ ->
                let rule = program.Rules[r]
                let known = rule.Needs |> List.choose numberOf
                if known.Length < rule.Needs.Length then None
                else
                    ruled[r] <- rule.Value known
                    Some(Const ruled[r])
        | OfBasis(b, number) ->
            match program.Solved.TryGetValue b with
            | true, s -> Some(s.Number number)
            | _ -> None

    and bind (node: Node) = Passes.bind program.Graph late node |> work.Traces.Bind
    and simple (node: Node) = Passes.simplify program.Graph (bind node)

    and numberOf (node: Node) =
        let n = simple node
        match n.Op, told.TryGetValue n.Id with
        | Const v, _
        | _, (true, v) -> Some v
        | _ -> None

    let dotsOf (b: int) = program.Bases[b].Gram |> List.concat

    /// The bases whose numbers these nodes wait for.
    let rec waitingFor (nodes: Node list) =
        reachable nodes
        |> Seq.collect (fun n ->
            match n.Op with
            | Late(i, _) when i >= 0 ->
                match program.Late[i] with
                | OfBasis(b, _) when not (program.Solved.ContainsKey b) -> [ b ]
                | OfRule r when not (ruled.ContainsKey r) -> waitingFor program.Rules[r].Needs
                | _ -> []
            | _ -> [])
        |> Seq.distinct
        |> List.ofSeq

    /// The Gram matrix of the sources, by group. Dot products are bound and looked up here once, for all groups.
    let matrices (b: int) : string -> float[,] =
        let d = program.Bases[b]
        let size = d.Sources.Length
        let rows = [| for row in d.Gram -> [| for n in row -> dict known[(simple n).Id] |] |]
        let value label i j =
            let row = rows[min i j][abs (i - j)]
            match row.TryGetValue "" with
            | true, v -> v
            | _ -> row[label]
        fun label -> Array2D.init size size (value label)

    let name (d: BasisDefinition) i = if i < d.Names.Length then $"`{d.Names[i]}`" else $"source {i + 1}"

    let listed (names: string list) = String.Join(", ", names)

    /// What is wrong with the tasks, by their names.
    let fault (d: BasisDefinition) (label: string) (e: BasisException) =
        let where = if label = "" then "" else $" at {label}"
        match e with
        | :? BasisNonFiniteException as e ->
            let who = e.Members |> Seq.map (name d) |> List.ofSeq |> listed
            FaultException($"{who}: NaN or infinite elements{where}, so nothing can be kept of it; mend the file or leave it out of the family", e)
        | :? BasisRankException as e ->
            let zero = [ for t in e.Zero -> $"{name d t} is zero" ]
            let equal = [ for p in e.Equal -> (let struct (a, b) = p in $"{name d a} and {name d b} are equal") ]
            let dependent = [ for t in e.Dependent -> $"{name d t} is a combination of others" ]
            let why = match zero @ equal @ dependent with [] -> "" | all -> ": " + listed all
            let wayOut = if e.Rank = 0 then "there is nothing to keep" else $"give at most {e.Rank} atoms, or leave out what adds nothing"
            FaultException($"the {d.Names.Length} task vectors have rank {e.Rank}{where}{why}; {wayOut}", e)
        | :? BasisUnreachedException as e ->
            let reached = e.Reached.ToString("0.####", Globalization.CultureInfo.InvariantCulture)
            FaultException($"the worst member's relative error is {reached} at best{where}, with {e.Atoms} atoms; allow more, or take another method", e)
        | e -> FaultException(e.Message, e)

    /// The solution of a group; of a layer or tensor that the tasks leave alone less can be kept than was asked for, or nothing.
    let solution (d: BasisDefinition) (label: string) (gram: float[,]) : BasisSolution option =
        try
            Some(BasisSolver.Solve(gram, d.Options))
        with
        | :? BasisRankException as e when label <> "" ->
            if e.Rank < 1 then None
            else
                try
                    Some(BasisSolver.Solve(gram, d.Options.WithAtoms e.Rank))
                with :? BasisException as e ->
                    raise (fault d label e)
        | :? BasisException as e -> raise (fault d label e)

    /// A basis from its groups.
    let whole (d: BasisDefinition) atoms (groups: BasisGroup list) =
        let convex = d.Origin.IsTasks && groups |> List.forall (fun g -> Solving.isConvex g.Weights)
        Solving.solved program d atoms convex groups (BasisReport.Combine(groups |> List.map _.Report |> Array.ofList))

    let solveTasks (b: int) (d: BasisDefinition) =
        let gramOf = matrices b
        let solutions =
            Solving.groupsOf program d |> List.map (fun label ->
                let gram = gramOf label
                label, gram, solution d label gram)
        let count =
            if d.Options.Atoms.HasValue then d.Options.Atoms.Value
            else solutions |> List.map (fun (_, _, s) -> s |> Option.map _.Atoms |> Option.defaultValue 0) |> List.max |> max 1
        let hasMean = d.Options.Method = BasisMethod.Pca
        let tasks = d.Names.Length
        let kept = count + (if hasMean then 1 else 0)
        let groups =
            solutions |> List.map (fun (label, gram, solution) ->
                let at (m: float[,]) i j = if i < Array2D.length1 m && j < Array2D.length2 m then m[i, j] else 0.0
                let encoder, decoder =
                    match solution with
                    | Some s -> s.Encoder, s.Decoder
                    | None -> Array2D.zeroCreate tasks 1, Array2D.zeroCreate 1 tasks
                // The mean stands last, after as many atoms as the widest group has.
                { Label = label
                  Gram = gram
                  Weights = Array2D.init tasks kept (fun k m -> if m = count then 1.0 / float tasks else at encoder k m)
                  Coefficients = Array2D.init kept tasks (fun m t -> if m = count then 1.0 else at decoder m t)
                  Report =
                    (match solution with
                     | Some s -> BasisReport.Of(gram, s)
                     | None -> BasisReport.Of(gram, BasisSolution(encoder, decoder, false, 0))) })
        whole d count groups

    let solveGrown (b: int) (d: BasisDefinition) previous =
        let before = program.Solved[previous]
        let hasMean = Array2D.length1 before.Groups.Head.Coefficients > before.Atoms
        let gramOf = matrices b
        let groups =
            before.Groups |> List.map (fun g ->
                try
                    BasisGrowing.grow d.Origin d.Options hasMean g (gramOf g.Label)
                with :? BasisException as e ->
                    raise (fault d g.Label e))
        whole d (Array2D.length1 groups.Head.Coefficients - (if hasMean then 1 else 0)) groups

    let solveMerged (b: int) (d: BasisDefinition) clusters =
        let before = program.Solved[clusters]
        let isMember = d.Options.Decoder = "membership"
        let gramOf = matrices b
        whole d before.Atoms (before.Groups |> List.map (fun g -> BasisGrowing.merge isMember g (gramOf g.Label)))

    /// Dot products by group, and nothing else.
    let solveMeasured (b: int) (d: BasisDefinition) =
        let gramOf = matrices b
        let tasks = d.Names.Length
        let none = Array.create tasks nan
        let report = BasisReport(none, none, none, none, none, nan, nan, nan)
        let groups =
            Solving.groupsOf program d |> List.map (fun label ->
                let gram = gramOf label
                let bad = [| for t in 0 .. tasks - 1 do if not (Double.IsFinite gram[t, t]) then t |]
                if bad.Length > 0 then
                    raise (fault d label (BasisNonFiniteException bad))
                { Label = label; Gram = gram; Weights = Array2D.zeroCreate 0 0; Coefficients = Array2D.zeroCreate 0 0; Report = report })
        Solving.solved program d 0 false groups report

    let solve (b: int) =
        let d = program.Bases[b]
        program.Solved[b] <-
            match d.Origin with
            | BasisOrigin.Measured -> solveMeasured b d
            | BasisOrigin.Tasks -> solveTasks b d
            | BasisOrigin.Growth(previous, _)
            | BasisOrigin.Extension previous -> solveGrown b d previous
            | BasisOrigin.Merged clusters -> solveMerged b d clusters
            | BasisOrigin.Stored path -> invalidOp $"{path} is solved when it is read"

    /// What the Gram matrix of a basis waits for besides its own sources.
    let previous (b: int) =
        match program.Bases[b].Origin with
        | BasisOrigin.Growth(p, _)
        | BasisOrigin.Extension p
        | BasisOrigin.Merged p -> [ p ]
        | _ -> []

    /// The dot products of a basis, unless all of them are known already or from an earlier run.
    let unmeasured (b: int) : Node list option =
        let dots = dotsOf b |> List.map simple
        for n in dots do
            match n.Op with
            | Const v -> known[n.Id] <- [ "", v ]
            | Given numbers -> known[n.Id] <- Solving.labelled program program.Bases[b] numbers
            | _ -> ()
        if dots |> List.forall (fun n -> known.ContainsKey n.Id) then None
        else
            match (if work.Settings.Cache then GramCache.tryRead program dots else None) with
            | Some values ->
                List.iter2 (fun (n: Node) v -> known[n.Id] <- v) dots values
                None
            | None -> Some dots

    /// Computes in one pass the dot products that are not known from earlier runs.
    let measure (bases: int list) =
        work.Require(bind, bases |> List.collect dotsOf)
        let wanted = bases |> List.choose unmeasured
        let missing = wanted |> List.concat |> List.filter (fun n -> not (known.ContainsKey n.Id)) |> List.distinctBy _.Id
        if not missing.IsEmpty then
            for found in work.Numbers(bind, missing, "measuring the tasks (Gram matrix)") do
                known[found.Key] <- found.Value
        if work.Settings.Cache then
            for dots in wanted do
                GramCache.write program dots (dots |> List.map (fun n -> known[n.Id]))

    /// Compares the row spaces that the nodes ask for.
    let measureAngles (nodes: Node list) =
        for n in reachable nodes do
            match n.Op with
            | Late(i, _) when i >= 0 ->
                match program.Late[i] with
                | OfAngles set when not (program.Angles.ContainsKey set) ->
                    program.Angles[set] <- AngleWork.solve program work bind program.AngleSets[set]
                | _ -> ()
            | _ -> ()

    /// The rules that these nodes wait for, those that others rest on first.
    let rec rulesOf (nodes: Node list) : int list =
        reachable nodes
        |> Seq.collect (fun n ->
            match n.Op with
            | Late(i, _) when i >= 0 ->
                match program.Late[i] with
                | OfRule r when not (ruled.ContainsKey r) -> rulesOf program.Rules[r].Needs @ [ r ]
                | _ -> []
            | _ -> [])
        |> Seq.distinct
        |> List.ofSeq

    /// What a rule rests on and the files have still to tell; what waits for a command comes later.
    let unread (rule: int) =
        program.Rules[rule].Needs
        |> List.filter (fun n -> (numberOf n).IsNone && not (reachable [ simple n ] |> Seq.exists _.Op.IsLate))
        |> List.map simple

    let measureRules (nodes: Node list) =
        for rule in rulesOf nodes do
            match unread rule with
            | [] -> ()
            | missing ->
                for found in work.Numbers(bind, missing, "measuring what coefficients rest on") do
                    told[found.Key] <- snd found.Value.Head

    /// Makes known whatever numbers of bases the nodes wait for.
    let rec require (nodes: Node list) =
        match waitingFor nodes with
        | [] -> ()
        | bases -> solveAll bases
        measureAngles nodes
        measureRules nodes

    and solveAll (bases: int list) =
        for b in bases do
            for p in previous b do
                if not (program.Solved.ContainsKey p) then
                    solveAll [ p ]
        require (bases |> List.collect dotsOf)
        let open' = bases |> List.filter (fun b -> not (program.Solved.ContainsKey b))
        measure open'
        List.iter solve open'

    /// The value of a late number, where it is known by now.
    member _.Late i = late i
    /// The node with the late numbers that are known.
    member _.Bind(node: Node) = bind node
    member _.Require(nodes: Node list) = require nodes
    /// Numbers of the files that rules of the nodes rest on.
    member _.Unread(nodes: Node list) = rulesOf nodes |> List.collect unread
    /// The bases whose numbers the nodes wait for, and those that these rest on.
    member _.Waiting(nodes: Node list) =
        let rec all (found: int list) (next: int list) =
            match next |> List.filter (fun b -> not (List.contains b found) && not (program.Solved.ContainsKey b)) with
            | [] -> found
            | more -> all (found @ more) ((more |> List.collect previous) @ waitingFor (more |> List.collect dotsOf))
        all [] (waitingFor nodes)
    /// Makes the numbers of these bases known.
    member _.Solve(bases: int list) = solveAll (bases |> List.filter (fun b -> not (program.Solved.ContainsKey b)))
    /// Whether the dot products of a basis are known, or kept by an earlier run: then it can be solved without a pass.
    member _.IsMeasured(b: int) = (unmeasured b).IsNone
