import "../look.css";
