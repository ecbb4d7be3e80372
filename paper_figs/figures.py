"""Every figure, in the order of the report."""

from typing import NamedTuple


class Figure(NamedTuple):
    """NAME_data.py computes it, NAME_plot.py draws it."""

    name: str
    title: str
    alt: str  # for readers who do not see the picture
    caption: str  # stands alone


FIGURES = (
    Figure(
        "rates",
        "A rate that finds itself",
        "Two columns of curves: loss and learning rate over 400 steps on a quadratic and on logistic regression. Fixed "
        "rates that are too low hardly lower the loss; the adapted rates climb by two to four decades; the best "
        "fixed rate still ends lower, on logistic regression by far.",
        "AdamW at five fixed rates (grey, the rate at each curve's end) against HypergradientAdamW (beta_hyper = 1e-3) "
        "and AutoHypergradientAdamW, both from a rate of 1e-4. Left: a rotated quadratic in 50 variables, condition "
        "number 100. Right: logistic regression on scikit-learn's breast_cancer, regularised by 1e-3. Full batch, "
        "float32, no weight decay. On logistic regression the fixed rate of 1 wins by far; it is the default "
        "lr_max of AutoHypergradientAdamW, which gets there late.",
    ),
    Figure(
        "baydin_logistic",
        "Baydin et al. 2018: logistic regression",
        "Three panels: learning rate and training loss by step, validation loss by epoch, six methods. The rates of "
        "SGD-HD and SGDN-HD rise by more than a decade within ten steps; their losses fall well before those of SGD "
        "and SGDN. Adam and Adam-HD can hardly be told apart.",
        "SGD, SGD with Nesterov momentum (SGDN) and Adam at a rate of 0.001, and each with the additive rule from "
        "there: beta = 0.001, for Adam-HD 1e-7. Softmax regression on minibatches of 128, weights and minibatches "
        "from the authors' seed. On MNIST, ten epochs, circles are what the authors logged, and the facts below say "
        "how far any of their steps is from ours. Without it, forty epochs on scikit-learn's digits, for which "
        "nothing is published. Steps are averaged in bins that grow with the step.",
    ),
    Figure(
        "baydin_network",
        "Baydin et al. 2018: a network",
        "Three panels: learning rate and training loss by step, validation loss by epoch, six methods on a network. "
        "The rate of SGDN-HD rises first, that of SGD-HD later; both by more "
        "than a decade. Losses of SGD hardly move, those of the HD methods fall early.",
        "SGD, SGDN and Adam at a rate of 0.001, and each with the additive rule from there, on a network of two hidden "
        "layers of rectifiers; beta = 0.001, for Adam-HD 1e-7. On MNIST it is the authors' with 1000 neurons a "
        "layer: two epochs, or with --full mlp a hundred, and circles are the authors' log, of which we have every "
        "50th step after the 600th, and of Adam-HD the epochs only. Rounding grows from step to step, so the two "
        "agree in every digit at first and in the mean later. Without MNIST, a smaller network on scikit-learn's "
        "digits. The best validation loss need not be that of the best training loss.",
    ),
    Figure(
        "baydin_grid",
        "Baydin et al. 2018: initial rate against beta",
        "Three maps, six initial rates by six values of beta and a column for the baseline. Below an initial rate of "
        "0.01 most cells are blue, up to a hundred times fewer iterations than the baseline; red cells, more "
        "iterations, are where the initial rate is good already and beta large.",
        "Figure 4 of the paper: the number of the first minibatch with a loss of at most 0.29, logistic regression; "
        "colour against the baseline from the same rate. On MNIST medians of three seeds, in brackets the paper's "
        "count; on scikit-learn's digits one seed. Runs end at the cap named below, the paper's at 468,750, so where "
        "a count is beyond the cap its colour is a bound, and grey where that of the baseline is, too. The baseline of "
        "the third map is Adam with a rate of lr / sqrt(t), as in the paper: much "
        "of what Adam-HD gains there is that its rate does not fall.",
    ),
    Figure(
        "baydin_multiplicative",
        "The multiplicative rule, and a start from 0",
        "Three panels of learning rates by step. The additive rule leaves 0 at the second step and meets the runs "
        "from higher rates within some tens of steps; the multiplicative rule stays at 0 for good, climbs "
        "slowly from a low rate, and comes down from a high one where the additive rule hardly moves.",
        "Logistic regression from three initial rates by the additive rule (HD, beta = 1e-4) and by the "
        "multiplicative one (HDM, beta' = 0.02): alpha (1 + beta' cos(g, d)) cannot leave 0 and moves by 2 % a step "
        "at most, whatever the scale of the loss. Linear below 1e-5. On MNIST circles are mean rates of epochs, read "
        "off Figure 2 of the paper, whose weights and minibatches are not known.",
    ),
    Figure(
        "spike",
        "The spike of hypergradient descent, and its cures",
        "Two columns, online gradient descent and AdaGrad. Without a cure f rises by orders of magnitude in the middle "
        "of the run while the stepsize climbs far past 2/L; with a null step, a lookahead or a clipped stepsize f "
        "never exceeds its first value.",
        "HDM with one stepsize for both variables of f = (x_1^2 + 0.01 x_2^2)/2 from (1, 1), L = 1, P_0 = 0. While the "
        "iterate lies in the flat direction the stepsize climbs towards 1/mu = 100, past 2/L (grey line below), "
        "until the steep one, multiplied at each step, takes over. AdaGrad alone makes the spike larger. A null step "
        "refuses a step that raises f, a lookahead adds a gradient step, clipping keeps P in [0, 2/L]. The toy of "
        "Chu et al. 2025 is not known; this one is ours.",
    ),
    Figure(
        "superlinear",
        "Superlinear convergence beside its bound",
        "Three panels. The gaps of hypergradient and ratio feedback bend downwards on the logarithmic scale, below "
        "their bounds, with lookahead fastest, while gradient descent falls in a straight line; the ratios of "
        "successive gaps keep falling, that of gradient descent does not.",
        "HDM (hypergradient) and OSGM-R (ratio) with a full stepsize from P_1 = I/L on a rotated quadratic in four "
        "variables, eigenvalues 1, 0.8, 0.6, 0.5: gaps after K steps (thick) and the bounds (c L^2 ||P_1 - 1/A||^2 / "
        "K)^K (thin, same dash), c = 4, with lookahead 1. Gradient descent (dotted) has the rate 1/L. The theorem for "
        "the ratio is that of Gao et al. 2025 (COLT), the other bounds are derived here; the constants of Chu et al. "
        "2025 are not known.",
    ),
    Figure(
        "regret",
        "Regret on trial",
        "Four panels, each with a regret curve that stays below the dashed curve of its bound at every K.",
        "Both sides of four regret bounds after K steps on a rotated quadratic in six variables, condition number 10. "
        "Online gradient descent with 1/(2 L) against I/L; a scalar stepsize in [0, 4/L] against the exact line "
        "search of each step; AdaGrad with 1/L; lookahead with 1/L, which counts what the lookahead gains and whose "
        "bound is a constant. The first three take null steps. A regret below 0 beats its target. The runs stop "
        "where the feedback, a difference of values, has lost half of its digits.",
    ),
    Figure(
        "solver_gaps",
        "HDM-Best among the solvers",
        "Falling curves by iteration, two rows of panels for each data set: gap and gradient norm. The gradient of "
        "BFGS comes down first, then that of HDM-Best, close to L-BFGS with memory 10 on SVM and well before it on "
        "logistic regression; gradient descent, its accelerated kin and AdaGrad stay far above.",
        "Smoothed SVM and logistic regression on LIBSVM's a1a, a2a and a3a, unregularised, in the layout of Chu et "
        "al. 2025: the gap to the least value of any solver less 1e-10, and the largest entry of the gradient, "
        "against the iteration; runs stop at 1e-4 (grey line) or after 1000 iterations. A solver that is tuned shows "
        "the best of its grid, 20 runs of HDM-Best, six of Adam and AdaGrad, four of GD-HB, and the first of it if "
        "none converges, as the authors choose. HDM-Best, fixed, has hyper_lr = 10/L and hyper_lr_beta = 10 on every "
        "problem; HDM-Best, median, is the median over the 20. An iteration of BFGS and L-BFGS may take several "
        "gradients. The tables are those that the authors print, with the counts of their README where it has any; nG "
        "of all runs is what the choice costs.",
    ),
    Figure(
        "solver_profiles",
        "Who solves how many problems",
        "Two panels of rising step curves over a bar chart. BFGS solves the largest share. HDM-Best solves about as "
        "many problems as L-BFGS with memory 10, or more; when every run of its tuning counts, its curve begins far to "
        "the right.",
        "Performance profiles (Dolan and More 2002) over all problems of both tasks: the share that a solver solves, "
        "in the authors' sense, within so many times the fewest gradients that any solver needs. Left by the gradients "
        "of the winning run, as the authors count, right by those of every run of the grid that it was chosen from. "
        "HDM-Best, fixed, is one setting for all problems, hyper_lr = 10/L and hyper_lr_beta = 10. By default the "
        "problems are breast_cancer, digits as even against odd, each digit against the next, and LIBSVM's a1a, a2a "
        "and a3a; with FULL=1 they are all sets of LIBSVM that are there, read as the authors read them: raw labels, "
        "so that those with 0 and 1 or 1 and 2 are solved by the bias alone.",
    ),
    Figure(
        "least_squares",
        "OSGM on least squares",
        "Four panels of falling curves, one for each sigma: OSGM-R and OSGM-H fall in straight lines on the "
        "logarithmic scale, at the smallest sigmas ahead of accelerated gradient descent, at the largest behind the "
        "optimal diagonal preconditioner only. Gradient descent hardly moves in three of the panels.",
        "The four panels of Gao et al. 2025 (COLT), figure 2, on matched instances: A = C D C^T + sigma I with the "
        "published condition numbers, rate 10 for every method that learns. Lines are medians over eight draws, bands "
        "lie between the quartiles. On the grey line at 1e-10 a disc is the median over the draws of the index that "
        "gets there, a triangle that of the published curve, one draw, whose kappa* is smaller than all of ours at the "
        "first three sigmas (255, 193, 38.8; ours in the titles, in which the fourth, 3.63, lies): there the triangles "
        "of OSGM and of the optimal diagonal preconditioner (OptDiag) come early. Marks beyond an axis are in the "
        "table.",
    ),
    Figure(
        "near_diagonal",
        "OSGM on a near-diagonal quadratic",
        "One panel of falling curves. OSGM-R, OSGM-H and the optimal diagonal preconditioner fall together and first, "
        "then AdaGrad, OSGM-G and accelerated gradient descent; the accelerated method for convex functions and "
        "gradient descent are far behind.",
        "Gao et al. 2025 (COLT), figure 1, on eight quadratics in 32 variables that are built to have its numbers, "
        "kappa = 67.54, kappa* = 4.69 and a first gap of 10^0.197; its generator is not given. Methods that learn have "
        "their best rate of seven decades in each draw. Lines are medians over the draws, bands lie between the "
        "quartiles; a disc is the median index that reaches 1e-10, a triangle that of the published curve.",
    ),
    Figure(
        "osgm_svm",
        "OSGM on a support vector machine",
        "Falling curves of the gap over 999 iterations, a panel for each data set. OSGM-R and OSGM-H are far ahead of "
        "gradient descent, AdaGrad and the accelerated method for convex functions.",
        "The squared hinge loss as a sum, regularised by lambda = 5 m / n, the scale of Gao et al. 2025 (COLT), figure "
        "3; methods that learn have their best rate of seven decades. Discs mark where 1e-6 is reached, triangles "
        "where the published curve gets there, on the sets that the paper has (a4a with FULL=1). There the curves "
        "without learning are met, while those of OSGM are not at any rate: published they are as fast as SAGD, ours "
        "are slower than SAGD, and before all others.",
    ),
    Figure(
        "osgm_best",
        "OSGM-Best beside its rivals",
        "Falling curves of the gap by evaluations, two panels for each data set. BFGS comes down first in "
        "every panel; the curves of OSGM-Best, HDM-Best and L-BFGS cross each other.",
        "The smoothed SVM and logistic regression of the authors' code on LIBSVM's a1a, a2a and a3a, unregularised, "
        "from the published start. Gap "
        "over that at the start by evaluations of f and its gradient, least so far; discs mark where every entry of "
        "the gradient is below 1e-4. OSGM-Best and the quasi-Newton methods run once, as they are; HDM-Best is the "
        "best of its grid of 20 runs (the first if none ends), whose quartiles are the band and whose cost is in the "
        "table. L-BFGS keeps 10 "
        "pairs. f* is the least value found, by Newton's method or by any run.",
    ),
    Figure(
        "sweep",
        "From any initial rate",
        "Three rows of two panels over the initial rate, from 1e-6 to 10. AdamW's loss falls by decades towards one "
        "good rate and rises again; the adapted methods end far below it from every lower rate, and their "
        "rates at the end lie within three decades. From a rate of 10 hardly any comes back.",
        "Loss, median of the last ten, and learning rate after 300 full-batch steps from eight initial rates. Auto is "
        "AutoHypergradientAdamW with what it divides its hypergradient by (gradient is the published rule); beta_hyper "
        "is 1e-3, on the logarithmic scale 0.1, and all else a default but the bounds of the rate, 1e-7 and 100. "
        "float32, no weight decay. The network's minimum is taken as 0; gaps below 1e-9 are drawn there. On the "
        "two convex tasks AdamW at its best rate is as good as any; from that rate, and from rates far too high, "
        "adapting the rate can cost. The tables count both.",
    ),
    Figure(
        "sweep_options",
        "Every normalization, every rule of beta1",
        "Three maps, one a task, with a row for each of twelve methods and a column for each of eight initial rates. "
        "Rows that adapt beta1 by the published rule are dark in many places, losses up to several decades above "
        "AdamW's best.",
        "AdamW, HypergradientAdamW and AutoHypergradientAdamW (Auto, by what it divides its hypergradient by) over 300 "
        "full-batch steps from eight initial rates, beta1 fixed or adapted by the published rule (seed) or by the "
        "derivative. Each number is log10 of the loss at the end over that of AdamW at its best rate of the eight: 0 "
        "is as good, negative is better.",
    ),
    Figure(
        "surprise",
        "What surprise measures",
        "Two columns of three panels over 600 steps. On a stream that stays as it is, surprise scatters between "
        "about 0.5 and 0.9 all the time. Where every label changes at step 300, it jumps to 1 for a few steps, falls "
        "well below its former level and climbs back; the adapted rates rise at once, the losses jump and fall again.",
        "Softmax regression on batches of 64 digits; from step 300 on the right every digit c is called (c + 1) mod "
        "10. Above, surprise S of AutoHypergradientAdamW (Auto), median and quartiles over five seeds, its running "
        "mean S_bar, and where S lies on pure noise. Below, learning rate and loss, medians. In Auto, gain 10 the "
        "input is x (1 + 10 gain). AdamW has a fixed rate of 0.02, near which the adapted rates settle; all else is "
        "a default, but beta_hyper = 1e-4. The tables give the runs in which the pixels are inverted instead, too.",
    ),
    Figure(
        "spiking",
        "Spiking neurons that fall silent",
        "Six panels. At the step from which images are dark most neurons fall silent and wake again within tens of "
        "steps, those of the advised settings last; the norm of the gradient rises at once but under the advised "
        "settings, where it falls; rates rise or stay at their bound; the gain falls. In the last panel surprise "
        "wanders about zero around three kinds of transition.",
        "Digits, a network of 64 leaky integrate-and-fire neurons, trained by a surrogate gradient. The author of "
        "AutoHypergradientAdamW (Auto) states that when neurons fall silent, gradients vanish and the rate is raised, "
        "and that the gain of surprise, on the input, helps to wake them (Grillcheese-AI/grilly, "
        "docs/auto_hypergradient_snn.md). Here every image has 2 % of its light from one step on; thin lines are "
        "twins that keep it; medians over eight seeds. As advised: the author's settings for such neurons, with which "
        "the rate is at its bound. Gain 10: the input is x (1 + 10 gain), held: with a constant gain. Bottom right: "
        "surprise S above its running mean around transitions in 16 undisturbed runs at a fixed rate of 1e-3. The "
        "tables test each statement.",
    ),
    Figure(
        "numbers",
        "What float32 does to sums and to the update",
        "Two panels of errors over the number of terms: summed one after the other the error of a squared norm grows "
        "by decades, in the order of the kernels it falls. Below, two curves over the steps: the error of "
        "the update is largest early where 1 - beta2 is formed in float32 and late where it is formed in float64.",
        "Above, errors of sums of products of standard normal float32 numbers, medians of three draws, against the "
        "exact sum: one after the other, in pairs (numpy.sum), and in the order that reference and kernels share, "
        "blocks of 4096 terms in 16 lanes and then one exact sum over the blocks; the line is the bound of one block. "
        "Below, how far AdamW's update in float32 is from float64, median and quartiles over 256 weights, on standard "
        "normal gradients: 1 - beta2 formed in float32 is off by 1.3e-5 of itself, and so is the steady state of "
        "exp_avg_sq if it is not, as beta2 = 0.999 is then rounded apart from it.",
    ),
    Figure(
        "speed",
        "How near to the memory's speed",
        "Two panels of rates in GB/s over the number of elements. All curves rise by two decades from a thousand "
        "elements to hundreds of thousands, where the time of a launch no longer counts; the kernels keep near their "
        "probes, the steps below.",
        "Memory moved per second by the OpenCL kernels and by whole steps, medians and quartiles, on the device and "
        "at the time named below: other machines, and other hours, differ. A probe reads and writes as many bytes in "
        "as many arrays and computes next to nothing; it is the ceiling of what follows the same pattern. A step of "
        "HypergradientAdamW reads its arrays once more, which is counted. What was timed was checked against the "
        "reference, bit for bit.",
    ),
)
