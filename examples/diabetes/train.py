"""Twenty ridge regressions on the diabetes data; logs each one's error and keeps each model."""

from pathlib import Path

import joblib
from mylib import alphas
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import train_test_split

from turnout import Run

run = Run.get_context()
Path("outputs").mkdir(exist_ok=True)

x, y = load_diabetes(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=0)

for alpha in alphas():
    model = Ridge(alpha=alpha).fit(x_train, y_train)
    mse = mean_squared_error(y_test, model.predict(x_test))
    run.log("alpha", alpha)
    run.log("mse", mse)
    joblib.dump(model, f"outputs/ridge_{alpha:.2f}.pkl")
    print(f"alpha {alpha:.2f}  mse {mse:.2f}")
